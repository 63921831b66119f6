#include "environment.h"

#include "spec/words.h"

#include <stdlib.h>
#include <string.h>

static const char prefix[] = "RHOSWEEP_";
static const char *const known[] = {"HELPERS", "ISA", "CUDA_PATH", "PYTHON"};
enum { N_KNOWN = sizeof known / sizeof *known };

static rs_status check_word(const char *word) {
    const char *const nearest = rs_nearest_word(word, known, N_KNOWN);
    if (!nearest || strcmp(word, nearest) == 0) return RS_OK;
    return rs_fail(RS_EINPUT,
                   "environment: %s%.60s is not a variable of rhosweep; did you mean %s%s?", prefix,
                   word, prefix, nearest);
}

rs_status rs_environment_check(char *const *environment) {
    size_t const length = strlen(prefix);
    for (; *environment; ++environment) {
        if (strncmp(*environment, prefix, length) != 0) continue;
        const char *const name = *environment + length;
        char *const word = strndup(name, strcspn(name, "="));
        if (!word) return rs_fail(RS_EMEMORY, "environment: out of memory");
        rs_status const status = check_word(word);
        free(word);
        RS_TRY(status);
    }
    return RS_OK;
}
