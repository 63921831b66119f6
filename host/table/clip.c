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
    {"cell", TEXT, ALWAYS, NAMES, "c.cell", NULL, CELL_ABOUT},
    {"ensemble", TEXT, ALWAYS, NAMES, "c.ensemble", NULL, ENSEMBLE_ABOUT},
    {"hidden", WHOLE, ALWAYS, NAMES, "c.hidden", "$H$", HIDDEN_ABOUT},
    {"rho", REAL, ALWAYS, NAMES, "p.rho", "$\\rho$",
     "spectral radius of W_hh: measured, not the one asked for"},
    {"seed", UNSIGNED, ALWAYS, NAMES, "c.seed", NULL, "seed of the weights and inputs"},
    {"loss", TEXT, ALWAYS, NAMES, "c.loss", NULL, LOSS_ABOUT},
    {"weight_ih", POWER, ALWAYS, BESIDE, "w.weight_ih", NULL,
     "Frobenius norm of the gradient of weight_ih, summed over steps and batch as by "
     "loss.backward(); 0 for inputs zero and noise, which have no weights"},
    {"weight_hh", POWER, ALWAYS, BESIDE, "w.weight_hh", NULL, "likewise of W_hh as scaled to rho"},
    {"bias_ih", POWER, ALWAYS, BESIDE, "w.bias_ih", NULL, "likewise of bias_ih"},
    {"bias_hh", POWER, ALWAYS, BESIDE, "w.bias_hh", NULL, "likewise of bias_hh"},
    {"total", POWER, ALWAYS, RESULT, NULL, NULL, "norm of the four together"},
    {"clip_coef", POWER, ALWAYS, RESULT, NULL, "clip\\\\coefficient",
     "factor of torch.nn.utils.clip_grad_norm_: min(1, max_norm / (total + 1e-6))"},
    {"total_clipped", POWER, ALWAYS, RESULT, NULL, "total,\\\\clipped",
     "norm of the four after clipping"},
    {"max_norm", REAL, ALWAYS, NAMES, "k.max_norm", NULL, "norm to which --clip limits the total"},
    {"g", REAL, ALWAYS, BESIDE, "p.g", "$g$",
     "coupling, the Frobenius norm of W_hh over sqrt(hidden)"},
};
static const column clip_tail[] = {
    {"rho_asked", REAL, NEVER, NAMES, "p.rho_asked", NULL,
     "spectral radius asked for; empty for W_hh as drawn or imported"},
};

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
    .about = "norms of the weights' gradients, and what clipping does",
    .of_cases = true,
    .own_leads = true,
    OWN_COLUMNS(clip_own),
    TAIL_COLUMNS(clip_tail),
    .from = clip_from,
    .next = next_clip,
};
