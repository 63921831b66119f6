/* .safetensors files: 8 bytes with the length of a JSON header, the header, numbers one after the
 * other (https://github.com/huggingface/safetensors, "Format"). */
#ifndef RS_SAFETENSORS_H
#define RS_SAFETENSORS_H

#include "arrays.h"

enum { RS_SAFETENSORS_START = 8 }; /* bytes before the header, which begins with '{' */

/* Reads all arrays, of F64, F32, F16 and BF16. RS_EINPUT, with the array's name, for anything else:
 * a truncated or damaged file, a header that is no JSON or too long, a name given twice, another
 * dtype, too many dimensions, shapes that overflow or do not match their bytes, bytes that belong
 * to two arrays or to none. On failure *out has what was read. */
rs_status rs_safetensors_read(const rs_file *file, rs_arrays *out);

#endif
