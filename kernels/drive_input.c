#include "base/random.h"
#include "drive.h"

#include <string.h>

void rs_drive_input(const rs_shape *shape, const rs_drive *drive, size_t step, size_t sample,
                    double *x) {
    size_t const s = drive->first_sample + sample, count = shape->input_size;
    if (drive->input) {
        memcpy(x, drive->input + (step * drive->input_batch + s) * count, count * sizeof *x);
        return;
    }
    for (size_t i = 0; i < count; i += 2) {
        double pair[2];
        rs_normal_pair(drive->seed, RS_STREAM_INPUT, (uint32_t)step, (uint32_t)s, (uint32_t)(i / 2),
                       pair);
        x[i] = pair[0];
        if (i + 1 < count) x[i + 1] = pair[1];
    }
}
