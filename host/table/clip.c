#include "definition.h"

#include "../fit/clip.h"

#include <math.h>

/* Columns of its own; the gradients are in the order of rs_gradient. */
enum {
    CLIP_GRADIENT = 6,
    CLIP_TOTAL = CLIP_GRADIENT + RS_N_GRADIENT,
    CLIP_COEF,
    CLIP_TOTAL_CLIPPED
};

static const column clip_own[] = {
    {"cell", TEXT, ALWAYS, "c.cell"},
    {"ensemble", TEXT, ALWAYS, "c.ensemble"},
    {"hidden", WHOLE, ALWAYS, "c.hidden"},
    {"rho", REAL, ALWAYS, "p.rho"},
    {"seed", UNSIGNED, ALWAYS, "c.seed"},
    {"loss", TEXT, ALWAYS, "c.loss"},
    {"weight_ih", POWER, ALWAYS, "w.weight_ih"},
    {"weight_hh", POWER, ALWAYS, "w.weight_hh"},
    {"bias_ih", POWER, ALWAYS, "w.bias_ih"},
    {"bias_hh", POWER, ALWAYS, "w.bias_hh"},
    {"total", POWER, ALWAYS, NULL},
    {"clip_coef", POWER, ALWAYS, NULL},
    {"total_clipped", POWER, ALWAYS, NULL},
    {"max_norm", REAL, ALWAYS, "k.max_norm"},
    {"g", REAL, ALWAYS, "p.g"},
};
static const column clip_tail[] = {{"rho_asked", REAL, NEVER, "p.rho_asked"}};

/* The column behind the table's is the norm that is clipped to. */
static const char clip_from[] =
    ", k.max_norm FROM points p JOIN cases c ON c.id = p.case_id"
    " JOIN gradients w ON w.point_id = p.id JOIN clips k ON k.case_id = c.id"
    " ORDER BY %s, p.rho_asked, " SEED_ORDER ", k.max_norm";

static rs_status next_clip(source *from, cell *row, bool *more) {
    RS_TRY(rs_table_next_plain(from, row, more));
    if (!*more) return RS_OK;
    double norm[RS_N_GRADIENT];
    cell *const own = row + from->table->own;
    for (int k = 0; k < RS_N_GRADIENT; ++k) norm[k] = own[CLIP_GRADIENT + k].real;
    rs_clip const clip = rs_clip_find(norm, rs_column_real(from->outer, (int)from->table->n));
    own[CLIP_TOTAL] = rs_power_cell(clip.total);
    own[CLIP_COEF] = rs_power_cell(clip.coefficient);
    own[CLIP_TOTAL_CLIPPED] = rs_power_cell(clip.total_clipped);
    return RS_OK;
}

const definition rs_clip_table = {
    .name = "clip",
    .about = "norms of the weights' gradients, and what clipping does to them",
    .of_cases = true,
    .own_leads = true,
    OWN_COLUMNS(clip_own),
    TAIL_COLUMNS(clip_tail),
    .from = clip_from,
    .next = next_clip,
};
