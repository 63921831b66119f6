#include "weights.cuh"

#include "check.cuh"
#include "memory.cuh"
#include "problem.cuh"

namespace {

/* Measures or deals the arrays. */
loaded_weights lay_out(const rs_shape *s, rs_block block) {
    loaded_weights w = {};
    uint64_t const rows = rs_size_mul(s->groups, rs_size_mul(gates_of(s), s->hidden));
    w.weight_hh = take<double>(&block, rs_size_mul(rows, s->hidden));
    w.bias_ih = take<double>(&block, rows);
    w.bias_hh = take<double>(&block, rows);
    if (s->drive == RS_DRIVE_WEIGHTED)
        w.weight_ih = take<double>(&block, rs_size_mul(rows, s->input_size));
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
    size_t const h = s->hidden, rows = gates_of(s) * h, inputs = s->input_size;
    RS_TRY(send_numbers(c, of->weight_hh, rows * h, to->weight_hh + g * rows * h));
    RS_TRY(send_or_clear(c, of->bias_ih, rows, to->bias_ih + g * rows));
    RS_TRY(send_or_clear(c, of->bias_hh, rows, to->bias_hh + g * rows));
    if (s->drive != RS_DRIVE_WEIGHTED) return RS_OK;
    return send_numbers(c, of->weight_ih, rows * inputs, to->weight_ih + g * rows * inputs);
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
