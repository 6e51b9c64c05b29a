// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/parallel.hpp>
#include <tweedie/detail/simd.hpp>
#include <tweedie/detail/small_array.hpp>
#include <tweedie/optim/formulas.hpp>
#include <tweedie/optim/options.hpp>
#include <tweedie/optim/parameters.hpp>
#include <tweedie/optim/state.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace tweedie::detail {

/// Elements that one thread works on at a time.
inline constexpr std::size_t optim_chunk = 16384;

/// What every optimizer's options have in common.
struct step_options {
    const char* name;    ///< of the optimizer, for messages
    const char* method;  ///< whose state it works on
    optim::clipping clip;
    optim::on_non_finite non_finite;
    double coupled_decay = 0;
};

/// Checks the state against the tensors, or sets up an empty one with zeros.
/// - extra  `extra(range)`: values of a tensor besides those of its elements.
template <class Scalar, class Set, class Extra>
void prepare_state(const char* name, const char* method, std::size_t slots, Set& tensors,
                   optim::state<Scalar>& state, const Extra& extra) {
    if (state.method.empty() && state.tensors.empty()) {
        std::size_t values = 0;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            const std::size_t more = extra(tensors[i]);
            values += slots * tensors[i].size + more;
            state.tensors.push_back({.size = tensors[i].size, .step = 0, .extra = more, .memory = {}});
        }
        state.slots = slots;
        state.values.assign(values, Scalar{0});
        state.method = method;
        return;
    }
    if (state.method != method) {
        refuse_option(name, "the state is of " + state.method + ", not of " + method);
    }
    if (state.slots != slots) { refuse_option(name, "the state has another number of values per element"); }
    if (state.tensors.size() != tensors.size()) {
        refuse_option(name, "the state is of " + std::to_string(state.tensors.size()) + " tensors, not of " +
                                std::to_string(tensors.size()));
    }
    std::size_t values = 0;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (state.tensors[i].size != tensors[i].size) {
            refuse_option(name, "tensor " + std::to_string(i) + " has " + std::to_string(tensors[i].size) +
                                    " elements, its state " + std::to_string(state.tensors[i].size));
        }
        const std::size_t more = extra(tensors[i]);
        if (state.tensors[i].extra != more) {
            refuse_option(name, "tensor " + std::to_string(i) + " has another shape than its state");
        }
        values += slots * tensors[i].size + more;
    }
    if (state.values.size() != values) {
        refuse_option(name, "the state does not hold the values of its tensors");
    }
}

inline constexpr auto no_extra = [](const auto&) { return std::size_t{0}; };

template <class Parameters, class Gradients>
void require_matching(const char* name, Parameters& parameters, Gradients& gradients) {
    if (parameters.size() != gradients.size()) {
        refuse_option(name, std::to_string(parameters.size()) + " parameter tensors, but " +
                                std::to_string(gradients.size()) + " gradients");
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        if (parameters[i].size != gradients[i].size) {
            refuse_option(name, "tensor " + std::to_string(i) + " has " + std::to_string(parameters[i].size) +
                                    " elements, its gradient " + std::to_string(gradients[i].size));
        }
    }
}

/// Calls `body(tensor, first, last)` for pieces of all tensors, so that small ones share a piece and large
/// ones are cut. On several threads when it is worthwhile; pieces depend on the sizes alone.
/// - ranges  tensors with a `size`.
/// - per_element  scalars read and written for each.
template <class Ranges, class Body>
bool for_each_piece(Ranges& ranges, std::size_t per_element, const Body& body) {
    const std::size_t count = ranges.size();
    small_array<std::size_t, 129> ends(count + 1);
    std::size_t elements = 0;
    for (std::size_t i = 0; i < count; ++i) { ends[i] = elements += ranges[i].size; }
    if (elements * per_element < parallel_threshold) {  // one thread: whole tensors
        bool all = true;
        for (std::size_t i = 0; i < count; ++i) {
            for (std::size_t first = 0; first < ranges[i].size; first += optim_chunk) {
                all = body(i, first, std::min(ranges[i].size, first + optim_chunk)) && all;
            }
        }
        return all;
    }
    const std::size_t pieces = (elements + optim_chunk - 1) / optim_chunk;
    return for_each_index(pieces, elements * per_element, [&](std::size_t piece) {
        std::size_t at = piece * optim_chunk;
        const std::size_t end = std::min(elements, at + optim_chunk);
        std::size_t* const begin = ends.data();
        auto i = static_cast<std::size_t>(std::upper_bound(begin, begin + count, at) - begin);
        bool all = true;
        for (; at < end; ++i) {
            const std::size_t start = ends[i] - ranges[i].size;
            const std::size_t stop = std::min(ends[i], end);
            if (stop > at) { all = body(i, at - start, stop - start) && all; }
            at = stop;
        }
        return all;
    });
}

/// A set of one tensor.
template <class Element>
struct one_range {
    element_range<Element> range;
    [[nodiscard]] static std::size_t size() { return 1; }
    [[nodiscard]] const element_range<Element>& operator[](std::size_t) const { return range; }
};

/// The smallest tensor reported from any thread; `count` if none.
class first_fault {
public:
    explicit first_fault(std::size_t count) : tensor_(count), count_(count) {}
    void report(std::size_t tensor) {
#ifdef _OPENMP
#pragma omp critical(tweedie_first_fault)
#endif
        tensor_ = std::min(tensor_, tensor);
    }
    [[nodiscard]] std::size_t tensor() const { return tensor_ == count_ ? 0 : tensor_; }

private:
    std::size_t tensor_;
    std::size_t count_;
};

template <class Element>
bool all_finite_elements(const Element* x, std::size_t size) {
    if constexpr (half_element<Element>) {
        unsigned bad = 0;
        for (std::size_t i = 0; i < size; ++i) { bad |= is_finite(static_cast<float>(x[i])) ? 0U : 1U; }
        return bad == 0;
    } else {
        return finite_range(best_pack_path(), x, size);
    }
}

/// The sum of squares in double, of eight interleaved partial sums.
template <class Element>
double sum_of_squares(const Element* x, std::size_t size) {
    double sums[8] = {};
    std::size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        for (std::size_t j = 0; j < 8; ++j) {
            const auto value = static_cast<double>(x[i + j]);
            sums[j] += value * value;
        }
    }
    for (std::size_t j = 0; i + j < size; ++j) {
        const auto value = static_cast<double>(x[i + j]);
        sums[j] += value * value;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}
template <half_element Element>
double sum_of_squares(const Element* x, std::size_t size) {
    double sum = 0;
    for (std::size_t i = 0; i < size; ++i) {
        const auto value = static_cast<double>(static_cast<float>(x[i]));
        sum += value * value;
    }
    return sum;
}

/// The sum over all tensors of `part(tensor, first, last)`, added in an order that depends on the sizes
/// alone.
template <class Ranges, class Part>
double ordered_sum(Ranges& ranges, std::size_t per_element, const Part& part) {
    const std::size_t count = ranges.size();
    small_array<std::size_t, 129> starts(count + 1);
    std::size_t pieces = 0;
    for (std::size_t i = 0; i < count; ++i) {
        starts[i] = pieces;
        pieces += (ranges[i].size + optim_chunk - 1) / optim_chunk;
    }
    starts[count] = pieces;
    small_array<double, 128> partial(pieces);
    std::size_t elements = 0;
    for (std::size_t i = 0; i < count; ++i) { elements += ranges[i].size; }
    for_each_index(pieces, elements * per_element, [&](std::size_t piece) {
        std::size_t* const begin = starts.data();
        const auto i =
            static_cast<std::size_t>(std::upper_bound(begin, begin + count + 1, piece) - begin) - 1;
        const std::size_t first = (piece - starts[i]) * optim_chunk;
        partial[piece] = part(i, first, std::min(ranges[i].size, first + optim_chunk));
        return true;
    });
    double sum = 0;
    for (std::size_t piece = 0; piece < pieces; ++piece) { sum += partial[piece]; }
    return sum;
}

/// The formula of `numbers` on elements [first, last) of a tensor.
/// - slots  the tensor's first slot; the others follow, `size` apart.
/// - returns  whether every new parameter is finite.
template <std::size_t Slots, class Numbers, class Scalar, class Element, class Gradient>
bool update_piece(pack_path path, const Numbers& numbers, const gradient_terms<Scalar>& terms, Element* theta,
                  const Gradient* gradient, Scalar* values, std::size_t size, std::size_t first,
                  std::size_t last) {
    if constexpr (requires { numbers.simpler(); }) {
        if (const auto* simpler = numbers.simpler()) {
            return update_piece<Slots>(path, *simpler, terms, theta, gradient, values, size, first, last);
        }
    }
    Scalar* slots[Slots + 1] = {};
    if constexpr (std::same_as<Element, Scalar> && std::same_as<std::remove_const_t<Gradient>, Scalar>) {
        for (std::size_t k = 0; k < Slots; ++k) { slots[k] = values + k * size + first; }
        const Scalar total =
            update_range<Slots>(path, numbers, terms, theta + first, gradient + first, slots, last - first);
        return is_finite(total) || all_finite(theta + first, last - first);
    } else {  // 16 bits in memory: a block at a time in float
        constexpr std::size_t block = 512;
        Scalar wide[block];
        Scalar wide_gradient[block];
        bool finite = true;
        for (std::size_t at = first; at < last; at += block) {
            const std::size_t length = std::min(block, last - at);
            for (std::size_t i = 0; i < length; ++i) {
                wide[i] = static_cast<Scalar>(theta[at + i]);
                wide_gradient[i] = static_cast<Scalar>(gradient[at + i]);
            }
            for (std::size_t k = 0; k < Slots; ++k) { slots[k] = values + k * size + at; }
            update_range<Slots>(path, numbers, terms, wide, wide_gradient, slots, length);
            for (std::size_t i = 0; i < length; ++i) { theta[at + i] = static_cast<Element>(wide[i]); }
            finite = all_finite_elements(theta + at, length) && finite;
        }
        return finite;
    }
}

/// The scalar that clips the gradients' norm, and whether all of them are finite.
struct gradient_check {
    double scale = 1;
    double norm = 0;
    bool finite = true;
    std::size_t tensor = 0;
};

template <class Gradients>
std::size_t first_not_finite(Gradients& gradients) {
    first_fault fault(gradients.size());
    for_each_piece(gradients, 1, [&](std::size_t i, std::size_t first, std::size_t last) {
        if (!all_finite_elements(gradients[i].data + first, last - first)) { fault.report(i); }
        return true;
    });
    return fault.tensor();
}

template <class Gradients>
double norm_of(Gradients& gradients) {
    return std::sqrt(ordered_sum(gradients, 1, [&](std::size_t i, std::size_t first, std::size_t last) {
        return sum_of_squares(gradients[i].data + first, last - first);
    }));
}

template <class Gradients>
gradient_check check_gradients(const step_options& options, Gradients& gradients) {
    gradient_check out{.scale = options.clip.scale};
    if (std::isfinite(options.clip.norm)) {
        out.norm = std::abs(options.clip.scale) * norm_of(gradients);
        out.finite = std::isfinite(out.norm);
        if (out.norm > options.clip.norm) { out.scale *= options.clip.norm / out.norm; }
    } else if (options.non_finite == optim::on_non_finite::refuse) {
        out.finite = for_each_piece(gradients, 1, [&](std::size_t i, std::size_t first, std::size_t last) {
            return all_finite_elements(gradients[i].data + first, last - first);
        });
    }
    if (!out.finite) { out.tensor = first_not_finite(gradients); }
    return out;
}

inline void require_clipping(const char* name, const optim::clipping& clip) {
    require_positive(name, "clip.norm", clip.norm);
    require_positive(name, "clip.value", clip.value);
    if (!std::isfinite(clip.scale)) { refuse_option(name, "clip.scale must be finite"); }
}

/// One step of an elementwise method: one pass over memory.
///
/// - Slots    numbers per element that the method remembers.
/// - prepare  `prepare(record)` with the step counted already: the numbers of the formula in double are
///            worked out here and returned as `Numbers`. Called again only where a tensor's record differs
///            from the one before.
template <std::size_t Slots, class Scalar, optim::parameter_set Parameters, optim::parameter_set Gradients,
          class Prepare>
optim::step_result elementwise_step(const step_options& options, Parameters& parameter_set,
                                    Gradients& gradient_set, optim::state<Scalar>& state,
                                    const Prepare& prepare) {
    static_assert(std::same_as<Scalar, optim::state_scalar_t<Parameters>>,
                  "the state of parameters in double is state<double>, of all others state<float>");
    using element = set_element_t<Parameters>;
    using gradient = set_element_t<Gradients>;
    static_assert(std::same_as<gradient, element> || (half_element<element> && std::same_as<gradient, float>),
                  "gradients have the elements of the parameters; of 16-bit parameters they may be float");
    using numbers_type = decltype(prepare(std::declval<optim::tensor_record&>()));

    require_clipping(options.name, options.clip);
    gathered_set<Parameters> parameters(parameter_set);
    gathered_set<const Gradients> gradients(gradient_set);
    require_matching(options.name, parameters, gradients);
    prepare_state(options.name, options.method, Slots, parameters, state, no_extra);
    const gradient_check check = check_gradients(options, gradients);
    if (!check.finite) { return {optim::step_status::gradient_not_finite, check.tensor, check.norm}; }
    const std::size_t count = parameters.size();
    small_array<std::size_t, 128> offsets(count);
    small_array<std::size_t, 128> which(count);
    small_array<numbers_type, 32> numbers(count);
    std::size_t made = 0;
    std::size_t offset = 0;
    optim::tensor_record before{};
    for (std::size_t i = 0; i < count; ++i) {
        optim::tensor_record& record = state.tensors[i];
        const optim::tensor_record now = record;
        if (made > 0 && now.step == before.step && now.memory == before.memory) {
            record.step = state.tensors[i - 1].step;
            record.memory = state.tensors[i - 1].memory;
        } else {
            ++record.step;
            numbers[made++] = prepare(record);
        }
        before = now;
        which[i] = made - 1;
        offsets[i] = offset;
        offset += Slots * record.size;
    }
    const gradient_terms<Scalar> terms{.scale = static_cast<Scalar>(check.scale),
                                       .limit = static_cast<Scalar>(options.clip.value),
                                       .decay = static_cast<Scalar>(options.coupled_decay)};
    const pack_path path = best_pack_path();
    first_fault fault(count);
    const bool finite =
        for_each_piece(parameters, 3 + 2 * Slots, [&](std::size_t i, std::size_t first, std::size_t last) {
            const auto& p = parameters[i];
            if (!update_piece<Slots>(path, numbers[which[i]], terms, p.data, gradients[i].data,
                                     state.values.data() + offsets[i], p.size, first, last)) {
                fault.report(i);
                return false;
            }
            return true;
        });
    parameters.write_back();
    return {finite ? optim::step_status::done : optim::step_status::parameter_not_finite,
            finite ? 0 : fault.tensor(), check.norm};
}

/// A formula on every parameter, with or without (null) gradients of the same type: no clipping, no step
/// counted.
template <std::size_t Slots, class Scalar, class Parameters, class Gradients, class Numbers>
void apply_formula(const Numbers& numbers, Parameters& parameters, Gradients& gradients,
                   optim::state<Scalar>& state) {
    const std::size_t count = parameters.size();
    small_array<std::size_t, 128> offsets(count);
    std::size_t offset = 0;
    for (std::size_t i = 0; i < count; ++i) {
        offsets[i] = offset;
        offset += Slots * parameters[i].size;
    }
    const gradient_terms<Scalar> terms{
        .scale = 1, .limit = std::numeric_limits<Scalar>::infinity(), .decay = 0};
    const pack_path path = best_pack_path();
    for_each_piece(parameters, 3 + 2 * Slots, [&](std::size_t i, std::size_t first, std::size_t last) {
        update_piece<Slots>(path, numbers, terms, parameters[i].data, gradients[i].data,
                            state.values.data() + offsets[i], parameters[i].size, first, last);
        return true;
    });
}

/// `average = average + weight (theta - average)` for the parameters theta of all tensors.
template <class Scalar, class Parameters>
void follow(double weight, Parameters& parameters, optim::state<Scalar>& average) {
    const std::size_t count = parameters.size();
    small_array<std::size_t, 128> offsets(count);
    std::size_t offset = 0;
    for (std::size_t i = 0; i < count; ++i) {
        offsets[i] = offset;
        offset += parameters[i].size;
    }
    const average_numbers<Scalar> numbers{static_cast<Scalar>(weight)};
    const gradient_terms<Scalar> terms{
        .scale = 1, .limit = std::numeric_limits<Scalar>::infinity(), .decay = 0};
    for_each_piece(parameters, 3, [&](std::size_t i, std::size_t first, std::size_t last) {
        update_piece<0>(best_pack_path(), numbers, terms, average.values.data() + offsets[i],
                        parameters[i].data, static_cast<Scalar*>(nullptr), parameters[i].size, first, last);
        return true;
    });
}

}  // namespace tweedie::detail
