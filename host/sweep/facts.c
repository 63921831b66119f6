#include "facts.h"

#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the digest ------------------------------------------------------------------------------ */

static uint64_t add(uint64_t digest, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; ++i) digest = (digest ^ at[i]) * 0x100000001B3; /* FNV-1a */
    return digest;
}

static uint64_t add_text(uint64_t digest, const char *text) {
    return add(digest, text, strlen(text) + 1);
}

static uint64_t add_case(uint64_t digest, const rs_case *one) {
    size_t n;
    const rs_identity_column *column = rs_identity_columns(&n);
    for (size_t i = 0; i < n; ++i) {
        rs_identity_value value = {0};
        column[i].get(one, &value);
        digest = column[i].kind == RS_IDENTITY_TEXT ? add_text(digest, value.text)
                                                    : add(digest, &value.whole, sizeof value.whole);
    }
    return digest;
}

/* What a rank may have for itself is left out. */
static char *print_common(const rs_spec *spec) {
    static char none[] = "";
    char *text = NULL;
    rs_spec common = *spec;
    common.output = none;
    common.threads = 0;
    common.memory = 0;
    common.quiet = false;
    common.devices = NULL;
    common.n_devices = 0;
    if (rs_spec_print(&common, &text) == RS_OK) return text;
    free(text);
    return NULL;
}

/* The cases follow from the spec and the model; the first and the last one tell models apart. */
uint64_t rs_facts_digest(const rs_crew *crew) {
    uint64_t digest = 0xCBF29CE484222325;
    char *const spec = print_common(crew->spec);
    rs_case const first = rs_plan_case(&crew->plan, 0);
    rs_case const last = rs_plan_case(&crew->plan, crew->plan.n - 1);
    digest = add_text(digest, RS_VERSION " " RS_COMMIT);
    digest = add_text(digest, crew->engine->name);
    if (spec) digest = add_text(digest, spec);
    digest = add(digest, &crew->plan.n, sizeof crew->plan.n);
    digest = add_case(add_case(digest, &first), &last);
    free(spec);
    return digest;
}

/* ---- facts ----------------------------------------------------------------------------------- */

static void put_cuts(rs_message_out *message, const rs_launches *launches) {
    rs_put_whole(message, launches->n_cuts);
    for (size_t i = 0; i < launches->n_cuts; ++i) rs_put_whole(message, launches->cut[i].groups);
}

void rs_facts_put(rs_message_out *message, const rs_crew *crew) {
    char libraries[RS_LIBRARIES_TEXT];
    rs_describe_libraries(libraries);
    rs_put_text(message, crew->host_name);
    rs_put_text(message, libraries);
    put_cuts(message, &crew->launches);
    rs_put_whole(message, crew->hands);
    for (size_t i = 0; i < crew->hands; ++i) {
        const rs_origin *origin = &crew->hand[i].origin;
        rs_put_text(message, origin->device);
        rs_put_whole(message, origin->device_index);
        rs_put_whole(message, (uint64_t)origin->threads);
    }
}

/* Of every shape the launches get no larger than the other rank says. */
static rs_status get_cuts(rs_message_in *message, rs_launches *launches) {
    if (rs_get_count(message, sizeof(uint64_t)) != launches->n_cuts)
        return rs_fail(RS_EIO, "MPI: a message of another rank is damaged");
    for (size_t i = 0; i < launches->n_cuts; ++i) {
        size_t const groups = (size_t)rs_get_whole(message);
        if (groups > 0 && groups < launches->cut[i].groups) launches->cut[i].groups = groups;
    }
    return RS_OK;
}

static bool get_hand(rs_received *got, rs_peer *peer, size_t i) {
    rs_message_in *const in = &got->in;
    peer->device[i] = strdup(rs_get_text(in));
    peer->origin[i] = (rs_origin){.host = peer->host,
                                  .rank = got->from,
                                  .device = peer->device[i],
                                  .device_index = (size_t)rs_get_whole(in)};
    peer->origin[i].threads = (int)rs_get_whole(in);
    return peer->device[i] != NULL;
}

static rs_status get_hands(rs_received *got, rs_peer *peer) {
    size_t const hands = rs_get_count(&got->in, sizeof(uint64_t));
    peer->origin = calloc(hands + 1, sizeof *peer->origin);
    peer->device = calloc(hands + 1, sizeof *peer->device);
    bool made = peer->origin && peer->device;
    for (peer->hands = 0; made && peer->hands < hands; ++peer->hands)
        made = get_hand(got, peer, peer->hands);
    return made ? rs_get_end(&got->in) : rs_fail(RS_EMEMORY, "sweep: no memory for ranks");
}

rs_status rs_facts_get(rs_received *got, rs_crew *crew, rs_peer *out) {
    char libraries[RS_LIBRARIES_TEXT];
    rs_describe_libraries(libraries);
    snprintf(out->host, sizeof out->host, "%s", rs_get_text(&got->in));
    out->same_libraries = strcmp(rs_get_text(&got->in), libraries) == 0;
    RS_TRY(get_cuts(&got->in, &crew->launches));
    return get_hands(got, out);
}

void rs_peer_free(rs_peer *peer) {
    for (size_t i = 0; peer->device && i < peer->hands; ++i) free(peer->device[i]);
    free(peer->device);
    free(peer->origin);
}

/* ---- settings -------------------------------------------------------------------------------- */

/* The crew may be finding more. */
static void put_known(rs_message_out *message, rs_radii *radii) {
    pthread_mutex_lock(&radii->lock);
    rs_put_whole(message, radii->n_known);
    for (size_t i = 0; i < radii->room; ++i)
        if (radii->known[i].n) rs_put(message, &radii->known[i], sizeof radii->known[i]);
    pthread_mutex_unlock(&radii->lock);
}

void rs_settings_put(rs_message_out *message, rs_crew *crew, bool radii) {
    put_cuts(message, &crew->launches);
    if (radii)
        put_known(message, &crew->radii);
    else
        rs_put_whole(message, 0);
}

rs_status rs_settings_get(rs_message_in *message, rs_crew *crew) {
    RS_TRY(get_cuts(message, &crew->launches));
    size_t const n = rs_get_count(message, sizeof(rs_kept_radius));
    for (size_t i = 0; i < n; ++i) {
        rs_kept_radius kept;
        rs_get(message, &kept, sizeof kept);
        rs_radii_add(&crew->radii, &kept);
    }
    return rs_get_end(message);
}
