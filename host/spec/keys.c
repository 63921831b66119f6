#include "keys.h"

#include "words.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Beyond these a number is a slip of the pen. They also keep every product of sizes in 64 bits. */
enum {
    MAX_HIDDEN = 65536,
    MAX_STEPS = 10000000,
    MAX_BATCH = 1000000,
    MAX_INPUT_SIZE = 65536,
    MAX_DEVICE = 1023,
    MAX_THREADS = 4096,
    MAX_SHARDS = 1000000
};
#define MAX_MEMORY (UINT64_C(1) << 60) /* bytes */

#define WHOLE(field, from, to)                                                                     \
    .kind = &rs_kind_whole, .offset = offsetof(rs_spec, field), .least = (from), .most = (to)
#define WHOLES(field, from, to)                                                                    \
    .kind = &rs_kind_wholes, .offset = offsetof(rs_spec, field),                                   \
    .offset_n = offsetof(rs_spec, n_##field), .least = (from), .most = (to)
#define PATH(field)   .kind = &rs_kind_path, .offset = offsetof(rs_spec, field)
#define SWITCH(field) .kind = &rs_kind_switch, .offset = offsetof(rs_spec, field)
#define OWN(name)     .kind = &rs_kind_##name, .offset = offsetof(rs_spec, name)

#define WHAT  "Swept settings; every combination is a case:"
#define DRIVE "Input, loss and measurement:"
#define HOW   "Computation:"
#define WHERE "Results:"

/* In the order of the groups of --help. */
static const rs_spec_key keys[] = {
    {.name = "cell",
     .alias = "nonlinearity",
     .argument = "LIST",
     .help = "%s",
     .group = WHAT,
     .initial = "tanh",
     .of_model = true,
     OWN(cell)},
    {.name = "ensemble",
     .argument = "LIST",
     .help = "How weight_hh is drawn, for each gate separately: %s; ring is the cyclic shift, "
             "normal has "
             "orthogonal eigenvectors, sparse:P is gaussian in a fraction P of the elements",
     .group = WHAT,
     .initial = "gaussian",
     .of_model = true,
     OWN(ensemble)},
    {.name = "model",
     .argument = "FILE",
     .help = "Imported weights instead of an ensemble, .npz or .safetensors, keys as in the "
             "state_dict of nn.RNN, nn.LSTM or nn.GRU (weight_hh_l0, weight_ih_l0, ...), optional "
             "input, h0 and c0; see rhosweep inspect",
     .group = WHAT,
     PATH(model)},
    {.name = "rho",
     .argument = "LIST",
     .help = "Spectral radii that weight_hh is scaled to (its block g of lstm, n of gru), or the "
             "word native: as drawn or imported",
     .group = WHAT,
     .initial = "0.5:1.5:0.1",
     OWN(rho)},
    {.name = "hidden",
     .argument = "LIST",
     .help = "Units H",
     .group = WHAT,
     .initial = "64",
     .of_model = true,
     WHOLES(hidden, 1, MAX_HIDDEN)},
    {.name = "steps",
     .argument = "LIST",
     .help = "Time steps T",
     .group = WHAT,
     .initial = "100",
     .of_model = true,
     WHOLES(steps, 1, MAX_STEPS)},
    {.name = "batch",
     .argument = "N",
     .help = "Samples that every network sees",
     .group = WHAT,
     .initial = "16",
     .of_model = true,
     WHOLE(batch, 1, MAX_BATCH)},
    {.name = "seeds",
     .argument = "LIST",
     .help = "Seeds of weights and inputs",
     .group = WHAT,
     .initial = "0:9",
     WHOLES(seeds, 0, INT64_MAX)},
    {.name = "gate-bias",
     .argument = "LIST",
     .help = "Total bias of the gate that keeps the state (f of lstm, z of gru): a number; "
             "chrono:TMAX: ln U(1, TMAX - 1) for each unit; drawn: as drawn or imported",
     .group = WHAT,
     .initial = "drawn",
     OWN(gate_bias)},
    {.name = "leak",
     .argument = "LIST",
     .help = "A of tanh, relu and linear: h_t = (1-A) h_(t-1) + A phi(a_t), above 0 and at most "
             "1",
     .group = WHAT,
     .initial = "1",
     OWN(leak)},
    {.name = "gate-scale",
     .argument = "KIND",
     .help = "What --rho scales in lstm and gru: same: the blocks of all gates, by the factor of g "
             "or n; native: that block alone",
     .group = WHAT,
     .initial = "same",
     OWN(gate_scale)},
    {.name = "input",
     .argument = "LIST",
     .help = "pytorch: x ~ N(0,1), weights and biases U(+-1/sqrt(H)); zero; noise:SIGMA: "
             "N(0,SIGMA^2) added to every gate of every unit, no weights, no biases",
     .group = DRIVE,
     .initial = "pytorch",
     OWN(input)},
    {.name = "input-size",
     .argument = "N",
     .help = "Features of input pytorch",
     .group = DRIVE,
     .initial = "1",
     .of_model = true,
     WHOLE(input_size, 1, MAX_INPUT_SIZE)},
    {.name = "h0",
     .argument = "KIND",
     .help = "Start state, h0 and c0 of an lstm: %s",
     .group = DRIVE,
     .initial = "zero",
     .of_model = true,
     OWN(h0)},
    {.name = "warmup",
     .argument = "N",
     .help = "Forward steps before the recorded ones",
     .group = DRIVE,
     .initial = "0",
     WHOLE(warmup, 0, MAX_STEPS)},
    {.name = "loss",
     .argument = "KIND",
     .help = "last-mean: mean of h_T; all-mean: mean of h over all steps; random: a random "
             "unit vector on h_T, best for decay rates",
     .group = DRIVE,
     .initial = "last-mean",
     OWN(loss)},
    {.name = "clip",
     .argument = "MAXNORM",
     .help = "Also measure the gradients of the weights and biases, and what clipping them to "
             "this total norm does: rhosweep table clip",
     .group = DRIVE,
     .initial = RS_BY_DEFAULT,
     .automatic = "off",
     OWN(clip)},
    {.name = "fit-skip",
     .argument = "N",
     .help = "Steps next to the loss left out of the fit of the decay rate",
     .group = DRIVE,
     .initial = RS_BY_DEFAULT,
     .automatic = "min(20, T/4)",
     OWN(fit_skip),
     .least = 0,
     .most = MAX_STEPS},
    {.name = "lyapunov",
     .argument = "K",
     .help =
         "Also measure the K leading Lyapunov exponents of every network, or all: rhosweep table "
         "lyapunov",
     .group = DRIVE,
     .initial = RS_BY_DEFAULT,
     .automatic = "off",
     OWN(lyapunov),
     .least = 1,
     .most = 2 * MAX_HIDDEN},
    {.name = "transient",
     .argument = "N",
     .help = "Steps after the warm-up in which the tangents of lyapunov turn to the directions of "
             "growth, before exponents are counted; at most T",
     .group = DRIVE,
     .initial = RS_BY_DEFAULT,
     .automatic = "T/10",
     OWN(transient),
     .least = 0,
     .most = MAX_STEPS},
    {.name = "qr-every",
     .argument = "N",
     .help =
         "Steps between two QRs of the tangents; where it is left out they are chosen, for every "
         "network by the spread of growth that is met, so few that in f64 no exponent asked for "
         "is wrong by 1e-6; in f32 one",
     .group = DRIVE,
     .initial = RS_BY_DEFAULT,
     .automatic = "by the spread met",
     OWN(qr_every),
     .least = 1,
     .most = MAX_STEPS},
    {.name = "singular-at",
     .argument = "LIST",
     .help = "Also the singular values of the product of the Jacobians of so many first steps; "
             "needs lyapunov all",
     .group = DRIVE,
     .initial = RS_BY_DEFAULT,
     .automatic = "none",
     OWN(singular_at),
     .offset_n = offsetof(rs_spec, n_singular_at),
     .least = 1,
     .most = MAX_STEPS},
    {.name = "raw",
     .help = "Plain arithmetic: gradients underflow and overflow as in ordinary training",
     .group = DRIVE,
     .initial = "no",
     SWITCH(raw)},
    {.name = "precision",
     .argument = "TYPE",
     .help = "%s",
     .group = HOW,
     .initial = "f32",
     OWN(precision)},
    {.name = "engine",
     .argument = "NAME",
     .help = "%s; auto is cuda where a device is usable, else cpu",
     .group = HOW,
     .initial = "auto",
     OWN(engine)},
    {.name = "devices",
     .argument = "LIST",
     .help = "Devices of the engine to compute on, by the numbers of rhosweep devices, or the word "
             "all; results do not depend on it",
     .group = HOW,
     .initial = "all",
     OWN(devices),
     .offset_n = offsetof(rs_spec, n_devices),
     .least = 0,
     .most = MAX_DEVICE},
    {.name = "shard",
     .argument = "I/N",
     .help =
         "Only every N-th case, the I-th of them, from 0/N on: for N processes or machines with "
         "a database each; see rhosweep merge",
     .group = HOW,
     .initial = "0/1",
     OWN(shard),
     .most = MAX_SHARDS},
    {.name = "threads",
     .argument = "N",
     .help = "CPU threads; results do not depend on it",
     .group = HOW,
     .initial = RS_BY_DEFAULT,
     .automatic = "all",
     OWN(threads),
     .least = 1,
     .most = MAX_THREADS},
    {.name = "memory",
     .argument = "SIZE",
     .help = "Memory limit, such as 512M or 1.5GiB; results do not depend on it",
     .group = HOW,
     .initial = RS_BY_DEFAULT,
     .automatic = "three quarters of the free memory",
     OWN(memory),
     .least = 1,
     .most = MAX_MEMORY},
    {.name = "output",
     .argument = "DB",
     .help = "Database; stored results are skipped",
     .group = WHERE,
     .short_option = 'o',
     .initial = "rhosweep.db",
     PATH(output)},
    {.name = "profiles",
     .argument = "yes|no",
     .help = "no: store rates and ranges only, no norm per step",
     .group = WHERE,
     .initial = "yes",
     SWITCH(profiles)},
    {.name = "quiet",
     .help = "No progress, no summary",
     .group = WHERE,
     .initial = "no",
     SWITCH(quiet)},
};
enum { N_KEYS = sizeof keys / sizeof *keys };
static_assert((int)N_KEYS < (int)RS_MAX_KEYS, "a source for every key");

const rs_spec_key *rs_spec_keys(size_t *n) {
    *n = N_KEYS;
    return keys;
}

static bool has_name(const rs_spec_key *key, const char *name) {
    return strcmp(name, key->name) == 0 || (key->alias && strcmp(name, key->alias) == 0);
}

size_t rs_key_find(const char *name) {
    for (size_t k = 0; k < N_KEYS; ++k)
        if (has_name(&keys[k], name)) return k;
    return RS_MAX_KEYS;
}

rs_status rs_key_unknown(const char *name) {
    const char *names[N_KEYS];
    for (size_t k = 0; k < N_KEYS; ++k) names[k] = keys[k].name;
    const char *const nearest = rs_nearest_word(name, names, N_KEYS);
    if (nearest)
        return rs_fail(RS_EINPUT, "unknown key \"%.60s\"; did you mean %s?", name, nearest);
    return rs_fail(RS_EINPUT, "unknown key \"%.60s\"; the keys are the options of rhosweep sweep",
                   name);
}

rs_status rs_key_set(const rs_spec_key *key, rs_spec *spec, const char *value) {
    return key->kind->set ? key->kind->set(spec, key, value) : key->kind->set_own(spec, value);
}

void rs_key_print(const rs_spec_key *key, FILE *out, const rs_spec *spec) {
    if (key->kind->print)
        key->kind->print(out, spec, key);
    else
        key->kind->print_own(out, spec);
}

bool rs_key_has_value(const rs_spec_key *key, const rs_spec *spec) {
    const void *memory;
    memcpy(&memory, (const char *)spec + key->offset, sizeof memory);
    return !key->kind->owned || memory;
}

void rs_key_free(const rs_spec_key *key, rs_spec *spec) {
    void *memory;
    if (!key->kind->owned) return;
    memcpy(&memory, (char *)spec + key->offset, sizeof memory);
    free(memory);
    memset((char *)spec + key->offset, 0, sizeof memory);
}
