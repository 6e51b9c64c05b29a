// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/mersenne_twister.hpp>
#include <tweedie/random/noise.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numbers>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie {

/// Which of torch's two ways to make 16 or more floats: torch chooses by the machine it runs on.
enum class torch_cpu_kernel {
    avx2,  ///< x86-64 with AVX2 or AVX-512, nearly every machine; polynomials, the same bits everywhere
    libm,  ///< ATEN_CPU_CAPABILITY=default; the C library's logf, cosf and sinf
};

/// Whose rules the numbers follow. Normals of 16 and more, and `rand`, are the same in both.
enum class torch_release {
    v1_13,  ///< recorded from it
    v2_7,  ///< 2.7 and later, by their source: `randint` takes 64 bits from ranges of 2^28 on (before: 2^32),
           ///< fewer than 16 doubles take log1p(-u) for ln(1 - u), which changes 3 % of them in the last bit
};

/// `torch.Generator(device="cpu")`: the numbers of torch's `randn`, `rand` and `randint`, bit for bit.
///
///     torch_cpu_generator g(42);
///     g.randn(x);                      // torch.randn(x.size(), generator=torch.Generator().manual_seed(42))
///
/// 16 normals or more, float or double, are made in blocks of 16 from uniforms u, i = 0 .. 7:
///
///     z[i] = sqrt(-2 ln(1 - u[i])) cos(2 pi u[i + 8])    z[i + 8] = sqrt(-2 ln(1 - u[i])) sin(2 pi u[i + 8])
///
/// where the last block does not fit, the last 16 elements are made again from 16 uniforms more. Fewer than
/// 16 are made one by one in double, from two uniforms each pair, the second of a pair kept for the next call
/// of fewer than 16.
/// Source: the numbers of torch 1.13.1 (Debian's); Matsumoto and Nishimura 1998 for MT19937; Moshier's Cephes
/// for the polynomials of `torch_cpu_kernel::avx2`, fused as in the x86-64 Linux builds.
///
/// | call                             | bits depend on                                                      |
/// |----------------------------------|---------------------------------------------------------------------|
/// | rand, randint                    | nothing                                                             |
/// | randn, float, 16 or more, avx2   | nothing                                                             |
/// | randn, float, fewer than 16      | nothing, but for one in 1e8: made in double and rounded             |
/// | randn, double; float with libm   | the C library, as torch's own do: glibc gives those of torch on it  |
///
/// - seed    any 64 bits, of which torch uses the lower 32.
/// - random  sequential: what a call returns depends on the calls before. One call for 100 numbers is not two
///           calls for 50.
/// - cost    2.5 KB; no allocation. Not for use from several threads at a time.
/// - errors  tier 1: `randint` with low >= high.
class torch_cpu_generator {
public:
    explicit torch_cpu_generator(std::uint64_t seed = 67280421310721,
                                 torch_cpu_kernel kernel = torch_cpu_kernel::avx2,
                                 torch_release release = torch_release::v1_13)
        : engine_(static_cast<std::uint32_t>(seed)), kernel_(kernel), release_(release) {}

    /// `torch.randn(out.size())`.
    void randn(std::span<float> out) {
        if (out.size() < block) {
            few_normals(out);
            return;
        }
        if (kernel_ == torch_cpu_kernel::libm) {
            normals_by_libm(out);
            return;
        }
        const std::size_t whole = out.size() / block * block;
        for (std::size_t i = 0; i < whole;) {  // in parts that stay near
            const std::size_t n = std::min(whole - i, std::size_t{1248});
            engine_.fill_uniform(out.subspan(i, n));
            engine_.path().normals(out.data() + i, n / block);
            i += n;
        }
        if (whole < out.size()) {
            engine_.discard(out.size() - whole);
            const std::span<float> last = out.last(block);
            engine_.fill_uniform(last);
            engine_.path().normals(last.data(), 1);
        }
    }

    /// `torch.randn(out.size(), dtype=torch.float64)`.
    void randn(std::span<double> out) {
        if (out.size() < block) {
            few_normals(out);
        } else {
            normals_by_libm(out);
        }
    }

    /// `torch.rand(out.size())`: in [0, 1), 24 bits.
    void rand(std::span<float> out) { engine_.fill_uniform(out); }

    /// `torch.rand(out.size(), dtype=torch.float64)`: in [0, 1), 53 bits.
    void rand(std::span<double> out) {
        std::array<std::uint32_t, 624> words;
        for (std::size_t i = 0; i < out.size();) {
            const std::size_t n = std::min(out.size() - i, words.size() / 2);
            engine_.fill(std::span(words).first(2 * n));
            for (std::size_t k = 0; k < n; ++k) { out[i + k] = uniform(words[2 * k], words[2 * k + 1]); }
            i += n;
        }
    }

    /// `torch.randint(low, high, out.size())`: in [low, high), by remainder, hence not quite even.
    void randint(std::int64_t low, std::int64_t high, std::span<std::int64_t> out) {
        if (!(low < high)) { throw std::invalid_argument("torch_cpu_generator: randint needs low < high"); }
        const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
        const bool wide = range >= std::uint64_t{1} << (release_ == torch_release::v1_13 ? 32 : 28);
        for (std::int64_t& number : out) {
            const std::uint64_t word = wide ? random64() : random();
            number = static_cast<std::int64_t>(word % range + static_cast<std::uint64_t>(low));
        }
    }

    /// The next 32 bits.
    std::uint32_t random() { return engine_(); }

    /// The next 64 bits.
    std::uint64_t random64() {
        const std::uint64_t high = engine_();
        return high << 32 | engine_();
    }

    /// Goes on as if `randn` had been called for `size` numbers of type `Scalar`, in a tenth of its time.
    template <std::floating_point Scalar>
    void skip_randn(std::size_t size) {
        if (size < block) {
            std::array<double, block> unseen;
            few_normals(std::span(unseen).first(size));
            return;
        }
        const std::size_t numbers = size % block == 0 ? size : size + block;
        engine_.discard(numbers * (sizeof(Scalar) / sizeof(float)));
    }

    friend bool operator==(const torch_cpu_generator&, const torch_cpu_generator&) = default;

private:
    static constexpr std::size_t block = 16;

    static double uniform(std::uint32_t high, std::uint32_t low) {
        const std::uint64_t word = static_cast<std::uint64_t>(high) << 32 | low;
        return static_cast<double>(word & 0x1f'ffff'ffff'ffffu) * 0x1p-53;
    }

    template <class Scalar>
    void few_normals(std::span<Scalar> out) {
        for (Scalar& number : out) {
            if (second_) {
                number = static_cast<Scalar>(*second_ + 0.0);
                second_.reset();
                continue;
            }
            double u[2];
            rand(std::span<double>(u));
            const bool plain = release_ == torch_release::v1_13;
            const double radius = std::sqrt(-2.0 * (plain ? std::log(1.0 - u[1]) : std::log1p(-u[1])));
            const double angle = 2.0 * std::numbers::pi * u[0];
            second_ = radius * std::sin(angle);
            number = static_cast<Scalar>(radius * std::cos(angle) + 0.0);
        }
    }

    template <class Scalar>
    void normals_by_libm(std::span<Scalar> out) {
        rand(out);
        const auto transform = [](Scalar* data) {
            for (std::size_t i = 0; i < block / 2; ++i) {
                const Scalar radius = std::sqrt(Scalar(-2) * std::log(Scalar(1) - data[i]));
                const auto angle =
                    static_cast<Scalar>(2.0 * std::numbers::pi * static_cast<double>(data[i + block / 2]));
                data[i] = radius * std::cos(angle) + Scalar(0);
                data[i + block / 2] = radius * std::sin(angle) + Scalar(0);
            }
        };
        for (std::size_t i = 0; i + block <= out.size(); i += block) { transform(out.data() + i); }
        if (out.size() % block != 0) {
            const std::span<Scalar> last = out.last(block);
            rand(last);
            transform(last.data());
        }
    }

    detail::mersenne_twister engine_;
    torch_cpu_kernel kernel_;
    torch_release release_;
    std::optional<double> second_;  // of the last pair, when one number of it was asked for
};

/// Whose generator the samples of a batch draw from.
enum class torch_batch {
    one_generator,        ///< one `randn` for the whole batch: a sample's numbers depend on its place in it
    generator_per_sample  ///< sample b has its own, with seed + b: a list of generators, one picture each
};

/// One draw of `torch_cpu_noise`: shares its numbers with the source's copies of it.
template <std::floating_point Scalar>
struct torch_cpu_stream {
    std::shared_ptr<const std::vector<Scalar>> numbers;
    std::size_t elements = 0;
    std::size_t sample = 0;

    void operator()(std::size_t item, std::size_t first_element, std::span<float> out) const {
        copy(item, first_element, out);
    }
    void operator()(std::size_t item, std::size_t first_element, std::span<double> out) const {
        copy(item, first_element, out);
    }

private:
    template <class Out>
    void copy(std::size_t item, std::size_t first_element, std::span<Out> out) const {
        const std::size_t samples = numbers->size() / elements;
        if (!(sample < samples && item < samples - sample)) {
            throw std::invalid_argument("torch_cpu_noise: asked for more samples than its options say");
        }
        if (!(first_element <= elements && out.size() <= elements - first_element)) {
            throw std::invalid_argument("torch_cpu_noise: asked for more elements than its options say");
        }
        const Scalar* const from = numbers->data() + (sample + item) * elements + first_element;
        for (std::size_t i = 0; i < out.size(); ++i) { out[i] = static_cast<Out>(from[i]); }
    }
};

/// What `torch_cpu_noise` has to know, since torch's numbers depend on the sizes of its calls.
struct torch_cpu_noise_options {
    std::uint64_t seed = 0;         ///< of the generator; of sample 0's
    std::size_t elements = 0;       ///< per sample; > 0
    std::size_t samples = 1;        ///< in the whole batch, on all machines together; > 0
    std::size_t sample = 0;         ///< where this part of the batch begins
    std::size_t initial_draws = 1;  ///< how many `randn` of the state come before the first step's
    torch_batch batch = torch_batch::one_generator;
    torch_cpu_kernel kernel = torch_cpu_kernel::avx2;
    torch_release release = torch_release::v1_13;
};

/// The `randn` calls of a torch program on the CPU as a noise source: the same picture from the same seed.
///
///     torch_cpu_noise source({.seed = 42, .elements = 4 * 64 * 64});
///     start_from_noise(x, levels.front(), source);            // latents = torch.randn(shape, generator=g)
///     sample(plan, model, x, source);                         // each stochastic step draws once more
///
/// Draw d of kind `initial` is call number d of the generator, draw d of kind `step` is call number
/// `initial_draws + d`; each call is for the whole batch, or for one sample, as `batch` says. A pipeline that
/// draws no state (its latents were given) has initial_draws = 0. `Scalar` is the dtype of the tensors that
/// torch draws, whatever the state's type here.
/// - random  with `one_generator` a sample depends on `samples` and on its place among them, and 16 numbers
///           are redrawn at the end of the batch: what torch does, not what `noise` promises.
/// - cost    a draw is made when it is asked for: one pass over the batch more than `noise`, into buffers
///           that are used again. Draws are cheap in order; going back begins again from the seed.
/// - errors  tier 1: `elements` or `samples` 0; a draw of kind `user`, which has no place in that order, or
///           beyond `initial_draws`; samples or elements beyond what was said.
/// - choose  to reproduce pictures. `noise` is the better source: no sizes, no order, any machine.
template <std::floating_point Scalar = float>
class torch_cpu_noise {
public:
    explicit torch_cpu_noise(const torch_cpu_noise_options& options) : o_(options) {
        if (!(o_.elements > 0 && o_.samples > 0)) {
            throw std::invalid_argument("torch_cpu_noise: need elements > 0 and samples > 0");
        }
        rewind();
    }

    torch_cpu_noise(const torch_cpu_noise& other)
        : o_(other.o_), generators_(other.generators_), position_(other.position_) {}
    torch_cpu_noise& operator=(const torch_cpu_noise& other) {
        torch_cpu_noise copy(other);
        return *this = std::move(copy);
    }
    torch_cpu_noise(torch_cpu_noise&&) noexcept = default;
    torch_cpu_noise& operator=(torch_cpu_noise&&) noexcept = default;
    ~torch_cpu_noise() = default;

    /// Not from several threads at a time on the same source; the streams may be called from any.
    [[nodiscard]] torch_cpu_stream<Scalar> stream(draw_kind kind, std::uint32_t draw) const {
        if (kind == draw_kind::user) {
            throw std::invalid_argument("torch_cpu_noise: draws of kind user have no place in torch's order");
        }
        if (kind == draw_kind::initial && !(draw < o_.initial_draws)) {
            throw std::invalid_argument("torch_cpu_noise: an initial draw beyond initial_draws");
        }
        return {numbers(kind == draw_kind::initial ? draw : o_.initial_draws + draw), o_.elements, o_.sample};
    }

private:
    struct made {
        std::size_t position = 0;
        std::shared_ptr<std::vector<Scalar>> numbers{};
    };

    void rewind() const {
        generators_.clear();
        const bool one = o_.batch == torch_batch::one_generator;
        for (std::size_t i = 0; i < (one ? 1 : o_.samples); ++i) {
            generators_.emplace_back(o_.seed + i, o_.kernel, o_.release);
        }
        position_ = 0;
    }

    [[nodiscard]] std::shared_ptr<const std::vector<Scalar>> numbers(std::size_t position) const {
        for (const made& m : made_) {
            if (m.numbers && m.position == position) { return m.numbers; }
        }
        if (position < position_) { rewind(); }
        const std::size_t size = o_.elements * o_.samples / generators_.size();
        for (; position_ < position; ++position_) {
            for (torch_cpu_generator& g : generators_) { g.template skip_randn<Scalar>(size); }
        }
        made& m = made_[oldest_];
        oldest_ = (oldest_ + 1) % made_.size();
        if (m.numbers && m.numbers.use_count() == 1) {
            std::atomic_thread_fence(std::memory_order_acquire);  // whoever let go of it has read it
        } else {
            m.numbers = std::make_shared<std::vector<Scalar>>(o_.elements * o_.samples);
        }
        m.position = position;
        std::span<Scalar> rest(*m.numbers);
        for (torch_cpu_generator& g : generators_) {
            g.randn(rest.first(size));
            rest = rest.subspan(size);
        }
        ++position_;
        return m.numbers;
    }

    torch_cpu_noise_options o_;
    mutable std::vector<torch_cpu_generator> generators_;
    mutable std::size_t position_ = 0;  // the call that the generators make next
    mutable std::array<made, 2> made_;  // the last draws
    mutable std::size_t oldest_ = 0;
};

}  // namespace tweedie
