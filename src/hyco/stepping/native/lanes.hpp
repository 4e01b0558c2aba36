// Samples side by side, and Fourier transforms of them: what the generated steps of `source.py` are made of.
//
// A value of LANES samples is one vector: each operation on it is one instruction for all of them, whatever the grid,
// and none depends on how many samples there are.

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

constexpr int LANES = 32 / sizeof(R);
typedef R V __attribute__((vector_size(32)));
struct C {
    V re, im;
};

static inline C operator+(C a, C b) { return {a.re + b.re, a.im + b.im}; }
static inline C operator-(C a, C b) { return {a.re - b.re, a.im - b.im}; }
static inline C times(C a, R re, R im) { return {a.re * re - a.im * im, a.re * im + a.im * re}; }

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

// Complex transforms of n numbers: Stockham's, in radices 4, 2, 3, 5 and other primes. SIGN -1: forward.
struct Plan {
    int n;
    std::vector<int> radices;
    std::vector<R> cosines, sines;  // of 2 pi k/n
    std::vector<C> a, b;

    explicit Plan(int n) : n(n), a(n), b(n) {
        int rest = n;
        for (int radix : {4, 2, 3, 5})
            for (; rest % radix == 0; rest /= radix) radices.push_back(radix);
        for (int radix = 7; rest > 1; radix += 2)
            for (; rest % radix == 0; rest /= radix) radices.push_back(radix);
        for (int k = 0; k < n; k++) {
            cosines.push_back(R(std::cos(2 * M_PI * k / n)));
            sines.push_back(R(std::sin(2 * M_PI * k / n)));
        }
    }

    // The transform of x, x + step, x + 2 step and so on. It stays the plan's until the next one.
    template <int SIGN>
    __attribute__((noinline)) C* run(const C* x, long step) {
        C *to = a.data(), *other = b.data();
        int length = n, stride = 1;
        if (n == 1) to[0] = x[0];
        for (int radix : radices) {
            if (radix == 4) pass4<SIGN>(x, step, to, length, stride);
            else if (radix == 2) pass2<SIGN>(x, step, to, length, stride);
            else if (radix == 3) pass3<SIGN>(x, step, to, length, stride);
            else if (radix == 5) pass5<SIGN>(x, step, to, length, stride);
            else pass<SIGN>(x, step, to, length, stride, radix);
            length /= radix, stride *= radix;
            x = to, step = 1;
            std::swap(to, other);
        }
        return n == 1 ? to : other;
    }

    template <int SIGN>
    inline C turned(C z, int k) const { return times(z, cosines[k], SIGN * sines[k]); }

    template <int SIGN>
    void pass2(const C* x, long step, C* y, int length, int stride) const {
        const int m = length / 2;
        for (int p = 0; p < m; p++)
            for (int q = 0; q < stride; q++) {
                const C c = x[step * (q + stride * p)], d = x[step * (q + stride * (p + m))];
                y[q + stride * 2 * p] = c + d;
                y[q + stride * (2 * p + 1)] = turned<SIGN>(c - d, p * stride);
            }
    }

    template <int SIGN>
    void pass3(const C* x, long step, C* y, int length, int stride) const {
        const int m = length / 3;
        const R h = R(std::sqrt(3.0) / 2) * SIGN;
        for (int p = 0; p < m; p++)
            for (int q = 0; q < stride; q++) {
                const C* from = x + step * (q + stride * p);
                const C c = from[0], d = from[step * stride * m], e = from[step * stride * 2 * m];
                const C sum = d + e, difference = d - e;
                const C middle = {c.re - sum.re * R(0.5), c.im - sum.im * R(0.5)};
                const C side = {difference.im * -h, difference.re * h};
                C* to = y + q + stride * 3 * p;
                to[0] = c + sum;
                to[stride] = turned<SIGN>(middle + side, p * stride);
                to[2 * stride] = turned<SIGN>(middle - side, 2 * p * stride);
            }
    }

    template <int SIGN>
    void pass4(const C* x, long step, C* y, int length, int stride) const {
        const int m = length / 4;
        for (int p = 0; p < m; p++)
            for (int q = 0; q < stride; q++) {
                const C* from = x + step * (q + stride * p);
                const long next = step * stride * m;
                const C c = from[0], d = from[next], e = from[2 * next], f = from[3 * next];
                const C even = c + e, odd = d + f, left = c - e, t = d - f;
                const C right = {t.im * R(-SIGN), t.re * R(SIGN)};
                C* to = y + q + stride * 4 * p;
                to[0] = even + odd;
                to[stride] = turned<SIGN>(left + right, p * stride);
                to[2 * stride] = turned<SIGN>(even - odd, 2 * p * stride);
                to[3 * stride] = turned<SIGN>(left - right, 3 * p * stride);
            }
    }

    template <int SIGN>
    void pass5(const C* x, long step, C* y, int length, int stride) const {
        const int m = length / 5;
        const R c1 = R(std::cos(0.4 * M_PI)), c2 = R(std::cos(0.8 * M_PI));
        const R s1 = R(std::sin(0.4 * M_PI)) * SIGN, s2 = R(std::sin(0.8 * M_PI)) * SIGN;
        for (int p = 0; p < m; p++)
            for (int q = 0; q < stride; q++) {
                const C* from = x + step * (q + stride * p);
                const long next = step * stride * m;
                const C z = from[0], a1 = from[next] + from[4 * next], b1 = from[next] - from[4 * next];
                const C a2 = from[2 * next] + from[3 * next], b2 = from[2 * next] - from[3 * next];
                const C r1 = {z.re + a1.re * c1 + a2.re * c2, z.im + a1.im * c1 + a2.im * c2};
                const C r2 = {z.re + a1.re * c2 + a2.re * c1, z.im + a1.im * c2 + a2.im * c1};
                const C i1 = {-(b1.im * s1 + b2.im * s2), b1.re * s1 + b2.re * s2};
                const C i2 = {-(b1.im * s2 - b2.im * s1), b1.re * s2 - b2.re * s1};
                C* to = y + q + stride * 5 * p;
                to[0] = z + a1 + a2;
                to[stride] = turned<SIGN>(r1 + i1, p * stride);
                to[2 * stride] = turned<SIGN>(r2 + i2, 2 * p * stride);
                to[3 * stride] = turned<SIGN>(r2 - i2, 3 * p * stride);
                to[4 * stride] = turned<SIGN>(r1 - i1, 4 * p * stride);
            }
    }

    template <int SIGN>
    void pass(const C* x, long step, C* y, int length, int stride, int radix) const {
        const int m = length / radix;
        for (int p = 0; p < m; p++)
            for (int q = 0; q < stride; q++)
                for (int k = 0; k < radix; k++) {
                    C sum = x[step * (q + stride * p)];
                    for (int j = 1; j < radix; j++)
                        sum = sum + turned<SIGN>(x[step * (q + stride * (p + m * j))], int(long(n) / radix * j * k % n));
                    y[q + stride * (radix * p + k)] = turned<SIGN>(sum, p * k * stride);
                }
    }
};

// Along one axis of [outer, n, inner] complex numbers.
template <int SIGN>
__attribute__((noinline)) static void transform(Plan& plan, const V* x, V* y, long outer, long inner, R scale) {
    for (long o = 0; o < outer; o++)
        for (long i = 0; i < inner; i++) {
            const long begin = o * plan.n * inner + i;
            const C* found = plan.run<SIGN>(reinterpret_cast<const C*>(x) + begin, inner);
            C* to = reinterpret_cast<C*>(y) + begin;
            for (int k = 0; k < plan.n; k++) to[k * inner] = {found[k].re * scale, found[k].im * scale};
        }
}

// Of n real numbers to n/2 + 1 coefficients and back, by a complex transform of half as many, or as many if n is odd.
struct RealPlan {
    int n, half;
    Plan plan;
    std::vector<R> cosines, sines;
    std::vector<C> line;

    explicit RealPlan(int n) : n(n), half(n / 2), plan(n % 2 ? n : n / 2), line(n) {
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
                    const C* found = plan.run<-1>(line.data(), 1);
                    for (int k = 0; k <= half; k++) to[k * inner] = {found[k].re * scale, found[k].im * scale};
                    continue;
                }
                for (int k = 0; k < half; k++) line[k] = {from[2 * k * inner], from[(2 * k + 1) * inner]};
                const C* z = plan.run<-1>(line.data(), 1);
                for (int k = 0; k <= half; k++) {
                    const C a = z[k == half ? 0 : k], b = z[k == 0 ? 0 : half - k];
                    const C even = {a.re + b.re, a.im - b.im}, odd = {a.im + b.im, b.re - a.re};
                    const C sum = even + times(odd, cosines[k], -sines[k]);
                    to[k * inner] = {sum.re * (scale / 2), sum.im * (scale / 2)};
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
                    line[0] = {from[0].re, V{}};
                    for (int k = 1; k <= half; k++) {
                        line[k] = from[k * inner];
                        line[n - k] = {from[k * inner].re, -from[k * inner].im};
                    }
                    const C* found = plan.run<1>(line.data(), 1);
                    for (int k = 0; k < n; k++) to[k * inner] = found[k].re * scale;
                    continue;
                }
                for (int k = 0; k < half; k++) {
                    C a = from[k * inner], b = from[(half - k) * inner];
                    if (k == 0) a.im = b.im = V{};
                    const C even = {a.re + b.re, a.im - b.im};
                    const C odd = times({a.re - b.re, a.im + b.im}, cosines[k], sines[k]);
                    line[k] = {even.re - odd.im, even.im + odd.re};
                }
                const C* z = plan.run<1>(line.data(), 1);
                for (int k = 0; k < half; k++) {
                    to[2 * k * inner] = z[k].re * scale;
                    to[(2 * k + 1) * inner] = z[k].im * scale;
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
