// Convolutions along one axis that follow each other, and their gradients; see line_convolution.py.
//
// A vector holds cells that lie side by side. Each tile of rows and vectors stays in registers while all that is summed
// goes by: twelve sums are as many as keep a processor busy, and as it has registers for.

#include <cstring>
#include <vector>

constexpr long LANES = 8, TILE = 6, CHUNK = 4;
typedef float V __attribute__((vector_size(32)));
typedef int Whole __attribute__((vector_size(32)));
typedef float Unaligned __attribute__((vector_size(32), aligned(4), may_alias));

static inline V load(const float* from) { return *(const Unaligned*)from; }
static inline void store(float* to, V value) { *(Unaligned*)to = value; }
static inline long whole(long n) { return (n + LANES - 1) / LANES * LANES; }

// A number of rows, each of `stride` numbers: whole vectors.
struct Rows {
    float* at;
    long stride;
};

// out[o][j] = bias[o] + sum over c, k of w[c][k][o] in[c][j + k dilation], for O rows and M vectors.
template <long O, long M>
static void convolve_tile(Rows in, const float* w, long channels, long kernel, long dilation, const float* bias, Rows out) {
    V sums[O][M];
#pragma GCC unroll 8
    for (long o = 0; o < O; o++)
#pragma GCC unroll 8
        for (long m = 0; m < M; m++) sums[o][m] = V{} + (bias ? bias[o] : 0.0f);
    for (long c = 0; c < channels; c++)
        for (long k = 0; k < kernel; k++, w += O) {
            const float* from = in.at + c * in.stride + k * dilation;
            V values[M];
#pragma GCC unroll 8
            for (long m = 0; m < M; m++) values[m] = load(from + m * LANES);
#pragma GCC unroll 8
            for (long o = 0; o < O; o++)
#pragma GCC unroll 8
                for (long m = 0; m < M; m++) sums[o][m] += values[m] * w[o];
        }
#pragma GCC unroll 8
    for (long o = 0; o < O; o++)
#pragma GCC unroll 8
        for (long m = 0; m < M; m++) store(out.at + o * out.stride + m * LANES, sums[o][m]);
}

template <long O, long M>
static void convolve_rows(Rows in, const float* w, long channels, long kernel, long dilation, const float* bias, Rows out,
                          long cells) {
    long j = 0;
    for (; j + M * LANES <= cells; j += M * LANES)
        convolve_tile<O, M>({in.at + j, in.stride}, w, channels, kernel, dilation, bias, {out.at + j, out.stride});
    for (; j < cells; j += LANES)
        convolve_tile<O, 1>({in.at + j, in.stride}, w, channels, kernel, dilation, bias, {out.at + j, out.stride});
}

// All rows of an output, with the weights as `packed` has left them; the last vector of a row may be more than is asked for.
static void convolve(Rows in, const float* w, long channels, long outputs, long kernel, long dilation, const float* bias,
                     Rows out, long cells) {
    for (long o = 0; o < outputs;) {
        const long count = o + TILE <= outputs ? TILE : 1;
        const Rows rows{out.at + o * out.stride, out.stride};
        (count == TILE ? convolve_rows<TILE, 2> : convolve_rows<1, LANES>)(in, w, channels, kernel, dilation,
                                                                           bias ? bias + o : bias, rows, cells);
        w += count * channels * kernel;
        o += count;
    }
}

// Weights w[o * of_output + c * of_channel + k] in the order in which tiles need them; with the kernel backwards or not.
static void pack(const float* w, long outputs, long channels, long kernel, long of_output, long of_channel, bool backwards,
                 float* to) {
    for (long o = 0; o < outputs;) {
        const long count = o + TILE <= outputs ? TILE : 1;
        for (long c = 0; c < channels; c++)
            for (long k = 0; k < kernel; k++)
                for (long i = 0; i < count; i++)
                    *to++ = w[(o + i) * of_output + c * of_channel + (backwards ? kernel - 1 - k : k)];
        o += count;
    }
}

// e to the power of x, to rounding: 2 to a whole number, times a polynomial for what is left (S. Moshier, Cephes).
static inline V exponential(V x) {
    x = x > 88.0f ? V{} + 88.0f : x;
    x = x < -87.0f ? V{} - 87.0f : x;
    const V rounder = V{} + 12582912.0f;  // 1.5 * 2^23: the sum's last bits are a whole number
    const V shifted = x * 1.44269504088896341f + rounder, number = shifted - rounder;
    const V rest = (x - number * 0.693359375f) + number * 2.12194440e-4f;
    V sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    const Whole power = ((Whole)shifted - (Whole)rounder + 127) << 23;
    return (sum * rest * rest + rest + 1.0f) * (V)power;
}
static inline V silu(V x) { return x / (1.0f + exponential(-x)); }
static inline V silu_slope(V x) {
    const V part = 1.0f / (1.0f + exponential(-x));
    return part * (1.0f + x * (1.0f - part));
}

enum Wall { PERIODIC, MIRROR, ZERO };

// What stands behind the walls: a cell, or nothing.
struct Padding {
    long cells, width, lower, upper;

    long source(long i) const {  // of place i, which is before the first cell or after the last one
        const long wall = i < 0 ? lower : upper;
        if (wall == PERIODIC) return (i % cells + cells) % cells;
        return wall == ZERO ? -1 : i < 0 ? 0 : cells - 1;
    }
    // Rows of cells, or of what the activation function makes of them, between what is behind the walls.
    void fill(const float* from, long channels, bool activated, Rows to) const {
        for (long c = 0; c < channels; c++, from += cells) {
            float* row = to.at + c * to.stride + width;
            std::memset(row - width, 0, to.stride * sizeof(float));
            std::memcpy(row, from, cells * sizeof(float));
            if (activated)
                for (long j = 0; j < cells; j += LANES) store(row + j, silu(load(row + j)));
            for (long i = 0; i < width; i++)
                for (const long at : {-1 - i, cells + i})
                    if (source(at) >= 0) row[at] = row[source(at)];
        }
    }
    // From slopes by such rows those by the cells that they were made of.
    void fold(Rows slopes, const float* from, long channels, bool activated, float* to) const {
        for (long c = 0; c < channels; c++, from += cells, to += cells) {
            float* row = slopes.at + c * slopes.stride + width;
            for (long i = 0; i < width; i++)
                for (const long at : {-1 - i, cells + i})
                    if (source(at) >= 0) row[source(at)] += row[at];
            long j = 0;
            if (activated)
                for (; j + LANES <= cells; j += LANES) store(row + j, load(row + j) * silu_slope(load(from + j)));
            if (activated && j < cells) {
                V last{};
                std::memcpy(&last, from + j, (cells - j) * sizeof(float));
                store(row + j, load(row + j) * silu_slope(last));
            }
            std::memcpy(to, row, cells * sizeof(float));
        }
    }
};

// sums[o][t] += slopes[o][j] in[t][j], over cells j of some samples; those of vectors stay apart.
template <long O, long T>
static void correlate_tile(Rows slopes, long of_slopes, const float* const* in, long of_in, long samples, long cells,
                           V* sums, long taps) {
    V own[O][T];
#pragma GCC unroll 8
    for (long o = 0; o < O; o++)
#pragma GCC unroll 8
        for (long t = 0; t < T; t++) own[o][t] = sums[o * taps + t];
    for (long b = 0; b < samples; b++)
        for (long j = 0; j < cells; j += LANES) {
            V values[T];
#pragma GCC unroll 8
            for (long t = 0; t < T; t++) values[t] = load(in[t] + b * of_in + j);
#pragma GCC unroll 8
            for (long o = 0; o < O; o++) {
                const V slope = load(slopes.at + o * slopes.stride + b * of_slopes + j);
#pragma GCC unroll 8
                for (long t = 0; t < T; t++) own[o][t] += slope * values[t];
            }
        }
#pragma GCC unroll 8
    for (long o = 0; o < O; o++)
#pragma GCC unroll 8
        for (long t = 0; t < T; t++) sums[o * taps + t] = own[o][t];
}

template <long O, long T>
static void correlate_rows(Rows slopes, long of_slopes, const float* const* in, long of_in, long samples, long cells,
                           V* sums, long taps) {
    long t = 0;
    for (; t + T <= taps; t += T) correlate_tile<O, T>(slopes, of_slopes, in + t, of_in, samples, cells, sums + t, taps);
    for (; t < taps; t++) correlate_tile<O, 1>(slopes, of_slopes, in + t, of_in, samples, cells, sums + t, taps);
}

static float total(V value) {
    float sum = 0;
    for (long i = 0; i < LANES; i++) sum += value[i];
    return sum;
}

// A convolution of one state to the next, of its activation if that is asked for; the state `added` (-1: none) is added.
struct Layer {
    long channels, outputs, kernel, dilation, activated, added;

    long taps() const { return channels * kernel; }
    long width() const { return dilation * (kernel / 2); }
};

struct Chain {
    long samples, cells, lower, upper, count;
    Layer layers[1];  // as many as are counted

    long numbers(long channels) const { return samples * channels * cells; }
};

// Memory that is kept for the next call of a thread.
static float* memory(long count) {
    static thread_local std::vector<float> kept;
    if ((long)kept.size() < count) kept.resize(count);
    return kept.data();
}

static void layer_forward(const Chain& s, const Layer& layer, const float* x, const float* w, const float* bias,
                          const float* added, float* y) {
    const Padding padding{s.cells, layer.width(), s.lower, s.upper};
    const long stride = whole(s.cells) + whole(2 * layer.width());
    const Rows in{memory(layer.channels * stride + layer.outputs * (whole(s.cells) + layer.taps())), stride};
    const Rows out{in.at + layer.channels * stride, whole(s.cells)};
    float* packed = out.at + layer.outputs * out.stride;
    pack(w, layer.outputs, layer.channels, layer.kernel, layer.taps(), layer.kernel, false, packed);
    for (long b = 0; b < s.samples; b++, x += layer.channels * s.cells) {
        padding.fill(x, layer.channels, layer.activated, in);
        convolve(in, packed, layer.channels, layer.outputs, layer.kernel, layer.dilation, bias, out, s.cells);
        for (long o = 0; o < layer.outputs; o++, y += s.cells) {
            std::memcpy(y, out.at + o * out.stride, s.cells * sizeof(float));
            if (!added) continue;
            for (long j = 0; j < s.cells; j++) y[j] += added[j];
            added += s.cells;
        }
    }
}

// The slopes by the input (null: not asked for), the weights and the bias, from those by the output.
static void layer_backward(const Chain& s, const Layer& layer, const float* x, const float* w, const float* of_y,
                           float* of_x, float* of_w, float* of_bias) {
    const long width = layer.width(), padded = s.cells + 2 * width, taps = layer.taps();
    const Padding padding{s.cells, width, s.lower, s.upper}, zeros{s.cells, 2 * width, ZERO, ZERO};
    // The last vector of a row of the padded length begins inside it, and is moved by no more than the kernel's width.
    const long in_stride = whole(padded) + LANES, slope_stride = whole(padded) + whole(2 * width) + LANES;
    const long of_in = layer.channels * in_stride, of_slopes = layer.outputs * slope_stride;
    const Rows in{memory(CHUNK * (of_in + of_slopes) + of_in + layer.outputs * taps), in_stride};
    const Rows slopes{in.at + CHUNK * of_in, slope_stride}, back{slopes.at + CHUNK * of_slopes, in_stride};
    float* packed = back.at + of_in;
    pack(w, layer.channels, layer.outputs, layer.kernel, layer.kernel, taps, true, packed);
    std::vector<V> sums(layer.outputs * taps, V{}), bias_sums(layer.outputs, V{});
    std::vector<const float*> places(taps);
    for (long t = 0; t < taps; t++) places[t] = in.at + t / layer.kernel * in_stride + t % layer.kernel * layer.dilation;
    for (long first = 0; first < s.samples; first += CHUNK) {
        const long count = s.samples - first < CHUNK ? s.samples - first : CHUNK;
        for (long b = 0; b < count; b++, x += layer.channels * s.cells, of_y += layer.outputs * s.cells) {
            const Rows own{slopes.at + b * of_slopes, slope_stride};
            padding.fill(x, layer.channels, layer.activated, {in.at + b * of_in, in_stride});
            zeros.fill(of_y, layer.outputs, false, own);
            for (long o = 0; o < layer.outputs; o++)
                for (long j = 0; j < s.cells; j += LANES) bias_sums[o] += load(own.at + o * own.stride + 2 * width + j);
            if (!of_x) continue;
            convolve(own, packed, layer.outputs, layer.channels, layer.kernel, layer.dilation, nullptr, back, padded);
            padding.fold(back, x, layer.channels, layer.activated, of_x);
            of_x += layer.channels * s.cells;
        }
        for (long o = 0; o < layer.outputs;) {
            const long rows = o + TILE <= layer.outputs ? TILE : 1;
            const Rows own{slopes.at + o * slope_stride + 2 * width, slope_stride};
            (rows == TILE ? correlate_rows<TILE, 2> : correlate_rows<1, LANES>)(own, of_slopes, places.data(), of_in, count,
                                                                                s.cells, &sums[o * taps], taps);
            o += rows;
        }
    }
    for (long i = 0; i < layer.outputs * taps; i++) of_w[i] = total(sums[i]);
    for (long o = 0; o < layer.outputs; o++) of_bias[o] = total(bias_sums[o]);
}

// The states from the input to the output: those between stand one after the other in `between`.
template <typename T>
static std::vector<T*> states(const Chain& s, T* first, T* between, T* last) {
    std::vector<T*> found{first};
    for (long i = 0; i + 1 < s.count; i++) {
        found.push_back(between);
        between += s.numbers(s.layers[i].outputs);
    }
    found.push_back(last);
    return found;
}

// parameters: the weights and the bias of each layer, in turn.
extern "C" void forward(const Chain* s, const float* const* parameters, float* x, float* between, float* y) {
    const std::vector<float*> state = states(*s, x, between, y);
    for (long i = 0; i < s->count; i++) {
        const Layer& layer = s->layers[i];
        const float* added = layer.added < 0 ? nullptr : state[layer.added];
        layer_forward(*s, layer, state[i], parameters[2 * i], parameters[2 * i + 1], added, state[i + 1]);
    }
}

extern "C" void backward(const Chain* s, const float* const* parameters, float* x, float* between, float* of_y, float* of_x,
                         float* const* of_parameters) {
    long numbers = 0;
    for (long i = 0; i + 1 < s->count; i++) numbers += s->numbers(s->layers[i].outputs);
    static thread_local std::vector<float> kept;
    if ((long)kept.size() < numbers) kept.resize(numbers);
    const std::vector<float*> state = states(*s, x, between, (float*)nullptr), slope = states(*s, of_x, kept.data(), of_y);
    std::vector<const float*> added(s->count + 1, nullptr);  // by state: slopes of a later one that it was added to
    for (long i = s->count - 1; i >= 0; i--) {
        const Layer& layer = s->layers[i];
        layer_backward(*s, layer, state[i], parameters[2 * i], slope[i + 1], slope[i], of_parameters[2 * i],
                       of_parameters[2 * i + 1]);
        if (layer.added >= 0) added[layer.added] = slope[i + 1];
        if (added[i] && slope[i])
            for (long j = 0; j < s->numbers(layer.channels); j++) slope[i][j] += added[i][j];
    }
}
