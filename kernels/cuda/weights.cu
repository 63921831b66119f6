#include "weights.cuh"

#include "check.cuh"
#include "memory.cuh"

namespace {

/* Measures or deals the arrays. */
loaded_weights lay_out(const rs_shape *s, rs_block block) {
    loaded_weights w = {};
    uint64_t const groups = s->groups, units = rs_size_mul(groups, s->hidden);
    w.weight_hh = take<double>(&block, rs_size_mul(units, s->hidden));
    if (s->drive == RS_DRIVE_WEIGHTED) {
        w.weight_ih = take<double>(&block, rs_size_mul(units, s->input_size));
        w.bias_ih = take<double>(&block, units);
        w.bias_hh = take<double>(&block, units);
    }
    w.bytes = block.used;
    return w;
}

rs_status send_or_clear(channel *c, const double *from, size_t count, double *to) {
    if (from) return send_numbers(c, from, count, to);
    CUDA_TRY(cudaMemsetAsync(to, 0, count * sizeof *to, c->stream));
    return RS_OK;
}

rs_status send_network(channel *c, const rs_shape *s, const rs_parameters *of, size_t g,
                       const loaded_weights *to) {
    size_t const h = s->hidden, inputs = s->input_size;
    RS_TRY(send_numbers(c, of->weight_hh, h * h, to->weight_hh + g * h * h));
    if (s->drive != RS_DRIVE_WEIGHTED) return RS_OK;
    RS_TRY(send_numbers(c, of->weight_ih, h * inputs, to->weight_ih + g * h * inputs));
    RS_TRY(send_or_clear(c, of->bias_ih, h, to->bias_ih + g * h));
    return send_or_clear(c, of->bias_hh, h, to->bias_hh + g * h);
}

} // namespace

uint64_t weights_bytes(const rs_shape *shape) {
    return lay_out(shape, rs_block_measure(ALIGNMENT)).bytes;
}

rs_status weights_load(channel *c, unsigned char *memory, uint64_t size, const rs_shape *shape,
                       const rs_parameters *of, loaded_weights *out) {
    uint64_t const number = out->number + 1, needed = weights_bytes(shape);
    if (needed > size)
        return rs_fail(RS_EMEMORY,
                       "engine cuda: the weights of %zu networks of %zu units need %llu bytes, the "
                       "device gave %llu",
                       shape->groups, shape->hidden, (unsigned long long)needed,
                       (unsigned long long)size);
    *out = lay_out(shape, rs_block_deal(memory, ALIGNMENT));
    out->number = number;
    for (size_t g = 0; g < shape->groups; ++g) RS_TRY(send_network(c, shape, &of[g], g, out));
    CUDA_TRY(cudaStreamSynchronize(c->stream));
    return RS_OK;
}
