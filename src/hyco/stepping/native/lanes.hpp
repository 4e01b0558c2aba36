// Samples side by side, and Fourier transforms of them: what the generated steps of `source.py` are made of.
//
// A value of LANES samples is one vector: each operation on it is one instruction for all of them, whatever the grid,
// and none depends on how many samples there are.

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

constexpr int LANES = LANE_BYTES / sizeof(R);
typedef R V __attribute__((vector_size(LANE_BYTES)));
struct C {
    V re, im;
};

static inline C operator+(C a, C b) { return {a.re + b.re, a.im + b.im}; }
static inline C operator-(C a, C b) { return {a.re - b.re, a.im - b.im}; }
static inline C times(C a, R re, R im) { return {a.re * re - a.im * im, a.re * im + a.im * re}; }
static inline C scaled(C a, R by) { return {a.re * by, a.im * by}; }

static inline V splat(R x) { return V{} + x; }
static inline V splat(V x) { return x; }
// A NaN stays one, as with torch.
static inline V larger(V a, V b) { return (a > b) | (a != a) ? a : b; }
static inline V smaller(V a, V b) { return (a < b) | (a != a) ? a : b; }
static inline V size_of(V a) { return a < 0 ? -a : a + V{}; }
// Of a NaN it is 0, as with torch.
static inline V sign_of(V a) { return a > 0 ? splat(R(1)) : a < 0 ? splat(R(-1)) : V{}; }

template <R (*function)(R)>
static inline V each(V a) {
    for (int i = 0; i < LANES; i++) a[i] = function(a[i]);
    return a;
}
static inline V power(V a, V b) {
    for (int i = 0; i < LANES; i++) a[i] = std::pow(a[i], b[i]);
    return a;
}

// Complex transforms of n numbers: Stockham's, in radices 8, 4, 2, 3, 5 and other primes. SIGN -1: forward.
struct Plan {
    int n;
    std::vector<int> radices;
    std::vector<R> cosines, sines;  // of 2 pi k/n
    std::vector<C> a, b;

    explicit Plan(int n) : n(n), a(n), b(n) {
        int rest = n, twos = 0;
        for (; rest % 2 == 0; rest /= 2) twos++;
        // As few passes as there can be: two of radix 4 rather than one of 8 and one of 2.
        for (; twos > 2 && twos != 4; twos -= 3) radices.push_back(8);
        for (; twos > 1; twos -= 2) radices.push_back(4);
        if (twos) radices.push_back(2);
        for (int radix = 3; rest > 1; radix += 2)
            for (; rest % radix == 0; rest /= radix) radices.push_back(radix);
        for (int k = 0; k < n; k++) {
            cosines.push_back(R(std::cos(2 * M_PI * k / n)));
            sines.push_back(R(std::sin(2 * M_PI * k / n)));
        }
    }

    // The transform of x, x + step, x + 2 step and so on to y, y + apart and so on, which may be the same places.
    template <int SIGN>
    __attribute__((noinline)) void run(const C* x, long step, C* y, long apart) {
        C *to = a.data(), *other = b.data();
        int length = n, stride = 1;
        if (n == 1) y[0] = x[0];
        for (int radix : radices) {
            const bool last = length == radix && (stride > 1 || radix <= 5 || radix == 8);
            C* const target = last ? y : to;
            const long gap = last ? apart : 1;
            if (radix == 8) pass<SIGN, 8>(x, step, target, gap, length, stride);
            else if (radix == 4) pass<SIGN, 4>(x, step, target, gap, length, stride);
            else if (radix == 2) pass<SIGN, 2>(x, step, target, gap, length, stride);
            else if (radix == 3) pass<SIGN, 3>(x, step, target, gap, length, stride);
            else if (radix == 5) pass<SIGN, 5>(x, step, target, gap, length, stride);
            else any_pass<SIGN>(x, step, target, gap, length, stride, radix);
            length /= radix, stride *= radix;
            x = to, step = 1;
            std::swap(to, other);
        }
        // A prime alone reads all numbers for each one that it writes.
        if (radices.size() == 1 && radices[0] > 5 && radices[0] != 8)
            for (int k = 0; k < n; k++) y[k * apart] = x[k];
    }

    template <int SIGN>
    inline C turned(C z, int k) const { return times(z, cosines[k], SIGN * sines[k]); }

    template <int SIGN, int RADIX>
    inline void pass(const C* x, long step, C* y, long apart, int length, int stride) const {
        const int m = length / RADIX;
        const long next = step * stride * m, further = apart * stride;
        for (int q = 0; q < stride; q++) part<SIGN, RADIX, false>(x + step * q, next, y + apart * q, further, 0);
        for (int p = 1; p < m; p++)
            for (int q = 0; q < stride; q++)
                part<SIGN, RADIX, true>(x + step * (q + stride * p), next, y + apart * (q + stride * RADIX * p), further,
                                        p * stride);
    }

    // A transform of RADIX numbers, which it then turns by multiples of the angle 2 pi k/n.
    template <int SIGN, int RADIX, bool TURNS>
    inline void part(const C* x, long next, C* y, long further, int k) const {
        const auto put = [&](int number, C z) { y[number * further] = TURNS ? turned<SIGN>(z, number * k) : z; };
        const auto upright = [](C z) { return C{z.im * R(-SIGN), z.re * R(SIGN)}; };
        if constexpr (RADIX == 2) {
            const C c = x[0], d = x[next];
            y[0] = c + d;
            put(1, c - d);
        } else if constexpr (RADIX == 3) {
            const R h = R(std::sqrt(3.0) / 2);
            const C c = x[0], d = x[next], e = x[2 * next], sum = d + e, side = upright(scaled(d - e, h));
            const C middle = {c.re - sum.re * R(0.5), c.im - sum.im * R(0.5)};
            y[0] = c + sum;
            put(1, middle + side);
            put(2, middle - side);
        } else if constexpr (RADIX == 4) {
            const C c = x[0], d = x[next], e = x[2 * next], f = x[3 * next];
            const C even = c + e, odd = d + f, left = c - e, right = upright(d - f);
            y[0] = even + odd;
            put(1, left + right);
            put(2, even - odd);
            put(3, left - right);
        } else if constexpr (RADIX == 5) {
            const R c1 = R(std::cos(0.4 * M_PI)), c2 = R(std::cos(0.8 * M_PI));
            const R s1 = R(std::sin(0.4 * M_PI)) * SIGN, s2 = R(std::sin(0.8 * M_PI)) * SIGN;
            const C z = x[0], a1 = x[next] + x[4 * next], b1 = x[next] - x[4 * next];
            const C a2 = x[2 * next] + x[3 * next], b2 = x[2 * next] - x[3 * next];
            const C r1 = {z.re + a1.re * c1 + a2.re * c2, z.im + a1.im * c1 + a2.im * c2};
            const C r2 = {z.re + a1.re * c2 + a2.re * c1, z.im + a1.im * c2 + a2.im * c1};
            const C i1 = {-(b1.im * s1 + b2.im * s2), b1.re * s1 + b2.re * s2};
            const C i2 = {-(b1.im * s2 - b2.im * s1), b1.re * s2 - b2.re * s1};
            y[0] = z + a1 + a2;
            put(1, r1 + i1);
            put(2, r2 + i2);
            put(3, r2 - i2);
            put(4, r1 - i1);
        } else {
            const R h = R(std::sqrt(0.5));
            const C x0 = x[0], x1 = x[next], x2 = x[2 * next], x3 = x[3 * next];
            const C x4 = x[4 * next], x5 = x[5 * next], x6 = x[6 * next], x7 = x[7 * next];
            const C a = x0 + x4, b = x0 - x4, c = x2 + x6, d = upright(x2 - x6);
            const C e = x1 + x5, f = x1 - x5, g = x3 + x7, i = upright(x3 - x7);
            const C even0 = a + c, even1 = b + d, even2 = a - c, even3 = b - d;
            const C odd0 = e + g, odd1 = f + i, odd2 = upright(e - g), odd3 = f - i;
            const C up1 = upright(odd1), up3 = upright(odd3);
            const C turned1 = scaled(odd1 + up1, h), turned3 = scaled(up3 - odd3, h);
            y[0] = even0 + odd0;
            put(1, even1 + turned1);
            put(2, even2 + odd2);
            put(3, even3 + turned3);
            put(4, even0 - odd0);
            put(5, even1 - turned1);
            put(6, even2 - odd2);
            put(7, even3 - turned3);
        }
    }

    template <int SIGN>
    void any_pass(const C* x, long step, C* y, long apart, int length, int stride, int radix) const {
        const int m = length / radix;
        for (int p = 0; p < m; p++)
            for (int q = 0; q < stride; q++)
                for (int k = 0; k < radix; k++) {
                    C sum = x[step * (q + stride * p)];
                    for (int j = 1; j < radix; j++)
                        sum = sum + turned<SIGN>(x[step * (q + stride * (p + m * j))], int(long(n) / radix * j * k % n));
                    y[apart * (q + stride * (radix * p + k))] = turned<SIGN>(sum, p * k * stride);
                }
    }
};

// Along one axis of [outer, n, inner] complex numbers.
template <int SIGN>
__attribute__((noinline)) static void transform(Plan& plan, const V* x, V* y, long outer, long inner, R scale) {
    for (long o = 0; o < outer; o++)
        for (long i = 0; i < inner; i++) {
            const long begin = o * plan.n * inner + i;
            C* const to = reinterpret_cast<C*>(y) + begin;
            plan.run<SIGN>(reinterpret_cast<const C*>(x) + begin, inner, to, inner);
            if (scale != 1)
                for (int k = 0; k < plan.n; k++) to[k * inner] = scaled(to[k * inner], scale);
        }
}

// Of n real numbers to n/2 + 1 coefficients and back, by a complex transform of half as many, or as many if n is odd.
struct RealPlan {
    int n, half;
    Plan plan;
    std::vector<R> cosines, sines;
    std::vector<C> line, found;

    explicit RealPlan(int n) : n(n), half(n / 2), plan(n % 2 ? n : n / 2), line(n), found(n) {
        for (int k = 0; k <= half; k++) {
            cosines.push_back(R(std::cos(2 * M_PI * k / n)));
            sines.push_back(R(std::sin(2 * M_PI * k / n)));
        }
    }

    // [outer, n, inner] real to [outer, n/2 + 1, inner] complex.
    __attribute__((noinline)) void forward(const V* x, V* y, long outer, long inner, R scale) {
        for (long o = 0; o < outer; o++)
            for (long i = 0; i < inner; i++) {
                const V* from = x + o * n * inner + i;
                C* to = reinterpret_cast<C*>(y) + o * (half + 1) * inner + i;
                if (n % 2) {
                    for (int k = 0; k < n; k++) line[k] = {from[k * inner], V{}};
                    plan.run<-1>(line.data(), 1, found.data(), 1);
                    for (int k = 0; k <= half; k++) to[k * inner] = scaled(found[k], scale);
                    continue;
                }
                if (inner > 1)
                    for (int k = 0; k < half; k++) line[k] = {from[2 * k * inner], from[(2 * k + 1) * inner]};
                // Numbers that follow each other are pairs already.
                plan.run<-1>(inner > 1 ? line.data() : reinterpret_cast<const C*>(from), 1, found.data(), 1);
                const C first = found[0];
                to[0] = {(first.re + first.im) * scale, V{}};
                to[half * inner] = {(first.re - first.im) * scale, V{}};
                for (int k = 1; 2 * k <= half; k++) {
                    const C a = found[k], b = found[half - k];
                    const C even = {a.re + b.re, a.im - b.im}, odd = {a.im + b.im, b.re - a.re};
                    const C side = times(odd, cosines[k], -sines[k]), sum = even + side, difference = even - side;
                    to[k * inner] = {sum.re * (scale / 2), sum.im * (scale / 2)};
                    to[(half - k) * inner] = {difference.re * (scale / 2), difference.im * (-scale / 2)};
                }
            }
    }

    // [outer, n/2 + 1, inner] complex to [outer, n, inner] real.
    __attribute__((noinline)) void backward(const V* x, V* y, long outer, long inner, R scale) {
        for (long o = 0; o < outer; o++)
            for (long i = 0; i < inner; i++) {
                const C* from = reinterpret_cast<const C*>(x) + o * (half + 1) * inner + i;
                V* to = y + o * n * inner + i;
                if (n % 2) {
                    line[0] = {from[0].re * scale, V{}};
                    for (int k = 1; k <= half; k++) {
                        line[k] = scaled(from[k * inner], scale);
                        line[n - k] = {line[k].re, -line[k].im};
                    }
                    plan.run<1>(line.data(), 1, found.data(), 1);
                    for (int k = 0; k < n; k++) to[k * inner] = found[k].re;
                    continue;
                }
                const V first = from[0].re * scale, last = from[half * inner].re * scale;
                line[0] = {first + last, first - last};
                for (int k = 1; 2 * k <= half; k++) {
                    const C a = from[k * inner], b = from[(half - k) * inner];
                    const C even = {(a.re + b.re) * scale, (a.im - b.im) * scale};
                    const C odd = times({a.re - b.re, a.im + b.im}, cosines[k] * scale, sines[k] * scale);
                    line[k] = {even.re - odd.im, even.im + odd.re};
                    line[half - k] = {even.re + odd.im, odd.re - even.im};
                }
                plan.run<1>(line.data(), 1, inner > 1 ? found.data() : reinterpret_cast<C*>(to), 1);
                if (inner > 1)
                    for (int k = 0; k < half; k++) {
                        to[2 * k * inner] = found[k].re;
                        to[(2 * k + 1) * inner] = found[k].im;
                    }
            }
    }
};

// Samples of `size` numbers, `apart` numbers apart, from `first` on, side by side; the last one fills the lanes that are
// left over.
__attribute__((noinline)) static void pack(const R* samples, long apart, long count, long first, long size, V* lanes) {
    for (int l = 0; l < LANES; l++) {
        const R* own = samples + (first + l < count ? first + l : count - 1) * apart;
        for (long i = 0; i < size; i++) reinterpret_cast<R*>(lanes)[i * LANES + l] = own[i];
    }
}

// The other way round.
__attribute__((noinline)) static void unpack(const V* lanes, long count, long first, long size, R* samples, long apart) {
    for (int l = 0; l < LANES && first + l < count; l++)
        for (long i = 0; i < size; i++) samples[(first + l) * apart + i] = reinterpret_cast<const R*>(lanes)[i * LANES + l];
}
