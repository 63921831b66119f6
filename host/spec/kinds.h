/* kinds: how the text of a key is read into a spec, and printed again. */
#ifndef RS_KINDS_H
#define RS_KINDS_H

#include "values.h"
#include "words.h"

#include <stdio.h>

/* The default as a file has it where it depends on what is swept or on the machine. */
#define RS_BY_DEFAULT "default"

/* One key of the [sweep] section and option of the command line. */
typedef struct rs_spec_key {
    const char *name;     /* "spectral radius" is "rho"; the option is --name */
    const char *alias;    /* another name of key and option, or NULL */
    const char *argument; /* "LIST", "N", ...; NULL for a switch, which in a file takes yes or no */
    const char *help;     /* one sentence for --help; "%s" in it is the list of the kind's words */
    const char *group;    /* heading in --help; keys of one group stand together */
    char short_option;    /* 0 for none */
    const char *initial;  /* the default as a file has it; NULL for none */
    const char *automatic; /* what the default is where `initial` is RS_BY_DEFAULT */
    bool of_model;         /* a model settles it where it is not given */
    /* How its text is read and printed, where in rs_spec its value stands, and the number of
     * values of a list, and the limits of whole numbers. */
    const struct rs_key_kind *kind;
    size_t offset, offset_n;
    uint64_t least, most;
} rs_spec_key;

/* RS_EINPUT of a setter names the value and what would be understood; the spec then keeps its
 * earlier value. */
typedef struct rs_key_kind {
    rs_status (*set)(rs_spec *spec, const rs_spec_key *key, const char *value);
    void (*print)(FILE *out, const rs_spec *spec, const rs_spec_key *key);
    /* or, of a kind that needs nothing of its key: */
    rs_status (*set_own)(rs_spec *spec, const char *value);
    void (*print_own)(FILE *out, const rs_spec *spec);
    rs_word_list *word; /* that a value may be, capitals in it standing for a number;
                                      NULL behind the last. NULL where only numbers are */
    bool owned;         /* at the key's offset stands a pointer to memory of the spec's own */
} rs_key_kind;

/* Of any key: a whole number, a list of them, a path, a switch. */
extern const rs_key_kind rs_kind_whole, rs_kind_wholes, rs_kind_path, rs_kind_switch;
/* Of one key each. */
extern const rs_key_kind rs_kind_cell, rs_kind_ensemble, rs_kind_rho, rs_kind_input,
    rs_kind_gate_bias, rs_kind_gate_scale, rs_kind_leak, rs_kind_h0, rs_kind_loss, rs_kind_clip,
    rs_kind_fit_skip, rs_kind_lyapunov, rs_kind_transient, rs_kind_qr_every, rs_kind_singular_at,
    rs_kind_precision, rs_kind_engine, rs_kind_devices, rs_kind_shard, rs_kind_threads,
    rs_kind_memory;

#endif
