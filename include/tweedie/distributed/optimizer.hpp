// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/distributed/mpi.hpp>
#include <tweedie/optim/adabelief.hpp>
#include <tweedie/optim/adabound.hpp>
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/adamax.hpp>
#include <tweedie/optim/adan.hpp>
#include <tweedie/optim/amsgrad.hpp>
#include <tweedie/optim/dual_adam.hpp>
#include <tweedie/optim/elementwise.hpp>
#include <tweedie/optim/lion.hpp>
#include <tweedie/optim/nadam.hpp>
#include <tweedie/optim/radam.hpp>
#include <tweedie/optim/sgd.hpp>
#include <tweedie/optim/state.hpp>
#include <tweedie/optim/yogi.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::distributed {

namespace detail {

template <class T, class... Others>
inline constexpr bool is_one_of_v = (std::same_as<T, Others> || ...);

/// Elements [first, last) of a tensor; the sums of the library are cut at the same places.
struct piece {
    std::size_t tensor = 0;
    std::size_t first = 0;
    std::size_t last = 0;
};

[[nodiscard]] inline std::vector<piece> pieces_of(std::span<const std::size_t> sizes) {
    std::vector<piece> all;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        for (std::size_t first = 0; first < sizes[i]; first += tweedie::detail::optim_chunk) {
            all.push_back({i, first, std::min(sizes[i], first + tweedie::detail::optim_chunk)});
        }
    }
    return all;
}

/// The pieces of one rank: a range of all, which lie one after the other.
[[nodiscard]] inline std::span<const piece> pieces_of_rank(std::span<const piece> all, int rank, int ranks) {
    const auto r = static_cast<std::size_t>(rank);
    const auto n = static_cast<std::size_t>(ranks);
    const std::size_t begin = all.size() * r / n;
    return all.subspan(begin, all.size() * (r + 1) / n - begin);
}

/// The pieces of each tensor as one, since they lie together.
[[nodiscard]] inline std::vector<piece> joined(std::span<const piece> pieces) {
    std::vector<piece> out;
    for (const piece& p : pieces) {
        if (!out.empty() && out.back().tensor == p.tensor) {
            out.back().last = p.last;
        } else {
            out.push_back(p);
        }
    }
    return out;
}

template <class T>
void append(std::vector<T>& to, std::span<const piece> pieces, std::span<const std::span<const T>> from) {
    for (const piece& p : pieces) {
        const std::span<const T> part = from[p.tensor].subspan(p.first, p.last - p.first);
        to.insert(to.end(), part.begin(), part.end());
    }
}

/// A sum of 2^level micro-batches that begin at a multiple of 2^level.
template <class T>
struct partial_sum {
    unsigned level = 0;
    std::vector<T> values;
};

/// The level of the largest node of the tree that begins at micro-batch `m` and ends at `end` or before.
[[nodiscard]] inline unsigned largest_node(std::size_t m, std::size_t end) {
    unsigned level = 0;
    while (m % (std::size_t{2} << level) == 0 && m + (std::size_t{2} << level) <= end) { ++level; }
    return level;
}

/// Adds the next sum in the order of micro-batches: two of one level become one of the next.
template <class T>
void add_next(std::vector<partial_sum<T>>& sums, partial_sum<T> next) {
    while (!sums.empty() && sums.back().level == next.level) {
        std::vector<T>& before = sums.back().values;
        for (std::size_t i = 0; i < before.size(); ++i) { before[i] += next.values[i]; }
        next = {next.level + 1, std::move(before)};
        sums.pop_back();
    }
    sums.push_back(std::move(next));
}

}  // namespace detail

/// An optimizer whose step of an element looks at that element alone, so that each rank can keep a part of
/// the state.
template <class Optimizer>
concept shardable_optimizer =
    detail::is_one_of_v<Optimizer, optim::adam, optim::adamw, optim::amsgrad, optim::nadam, optim::radam,
                        optim::adabelief, optim::adabound, optim::adamax, optim::yogi, optim::lion,
                        optim::adan, optim::sgd, optim::inv_adam, optim::dual_adam>;

/// The gradients of one micro-batch: a span per parameter tensor.
template <std::floating_point T>
using gradient_list = std::vector<std::span<const T>>;

/// One step of data-parallel training with the optimizer's state cut over the ranks: the gradients are added
/// where their part of the state is, every rank updates its part, and all get the new parameters.
///
///     optim::state<float> shard;  // of this rank; empty before the first step
///     const optim::adamw optimizer{.clip = {.scale = 1.0 / 8}};
///     sharded_step<float>(ranks, optimizer, parameters, gradients, shard);
///
/// The same bits on any number of ranks: micro-batches are numbered through, rank after rank, and added as a
/// binary tree over those numbers. One micro-batch on one rank is the optimizer's own step, to the bit.
/// Source: Rajbhandari et al. 2019, arXiv:1910.02054 (ZeRO, its first two stages).
/// - parameters  every tensor; the same on all ranks, before and after.
/// - gradients   of this rank's micro-batches; any number, also none. They are added, not averaged:
///               `clip.scale` of the optimizer makes a mean of the sum.
/// - shard       this rank's part of the state; `gathered_state` makes one of all.
/// - returns     the same on all ranks; with clipping by norm, that of the sum.
/// - cost        memory: a rank's part of the state, and of the gradients once per rank; traffic: gradients
///               and parameters once. Where a rank has several micro-batches they are added before they
///               travel as far as the tree allows.
/// - errors      `rank_error` on all ranks: lists that do not fit, options out of range. A gradient that is
///               not finite is a status, and nothing is changed on any rank.
template <std::floating_point T, shardable_optimizer Optimizer>
optim::step_result sharded_step(const communicator& ranks, Optimizer optimizer,
                                std::span<const std::span<T>> parameters,
                                std::span<const gradient_list<T>> gradients, optim::state<T>& shard) {
    std::vector<std::size_t> sizes;
    for (const std::span<T>& p : parameters) { sizes.push_back(p.size()); }
    std::vector<std::uint64_t> described(sizes.begin(), sizes.end());
    described.push_back(gradients.size());
    const std::vector<std::uint64_t> on_all = ranks.concatenated<std::uint64_t>(described);
    const auto size = static_cast<std::size_t>(ranks.size());
    const auto rank = static_cast<std::size_t>(ranks.rank());
    std::size_t first = 0;  // the number of this rank's first micro-batch
    std::size_t count = 0;  // of all
    ranks.together([&] {
        if (on_all.size() != described.size() * size) {
            throw std::invalid_argument("sharded_step: the ranks must have the same parameters");
        }
        for (std::size_t r = 0; r < size; ++r) {
            const std::span<const std::uint64_t> other(on_all.data() + r * described.size(),
                                                       described.size());
            if (!std::equal(sizes.begin(), sizes.end(), other.begin())) {
                throw std::invalid_argument("sharded_step: the ranks must have the same parameters");
            }
            first += r < rank ? static_cast<std::size_t>(other.back()) : 0;
            count += static_cast<std::size_t>(other.back());
        }
        if (count == 0) { throw std::invalid_argument("sharded_step: need at least one micro-batch"); }
        tweedie::detail::require_clipping("sharded_step", optimizer.clip);
        for (const gradient_list<T>& g : gradients) {
            bool fits = g.size() == sizes.size();
            for (std::size_t i = 0; fits && i < sizes.size(); ++i) { fits = g[i].size() == sizes[i]; }
            if (!fits) {
                throw std::invalid_argument("sharded_step: gradients must have the parameters' sizes");
            }
        }
    });

    // Reduce-scatter: to each rank, the sums over this rank's micro-batches of what is that one's.
    const std::vector<detail::piece> all = detail::pieces_of(sizes);
    const auto pieces_of_rank = [&](std::size_t r) {
        return detail::pieces_of_rank(all, static_cast<int>(r), ranks.size());
    };
    std::vector<std::vector<T>> parts(size);
    for (std::size_t r = 0; r < size; ++r) {
        for (std::size_t m = first; m < first + gradients.size();) {
            const unsigned level = detail::largest_node(m, first + gradients.size());
            std::vector<detail::partial_sum<T>> sums;
            for (std::size_t k = 0; k < (std::size_t{1} << level); ++k) {
                detail::partial_sum<T> next;
                detail::append<T>(next.values, pieces_of_rank(r), gradients[m - first + k]);
                detail::add_next(sums, std::move(next));
            }
            parts[r].insert(parts[r].end(), sums[0].values.begin(), sums[0].values.end());
            m += std::size_t{1} << level;
        }
    }
    const std::vector<std::vector<T>> received = ranks.exchanged(parts);
    parts.clear();

    const std::span<const detail::piece> mine = pieces_of_rank(rank);
    std::size_t elements = 0;
    for (const detail::piece& p : mine) { elements += p.last - p.first; }
    std::vector<detail::partial_sum<T>> sums;
    std::size_t m = 0;
    for (std::size_t r = 0; r < size; ++r) {
        const std::size_t end = m + static_cast<std::size_t>(on_all[(r + 1) * described.size() - 1]);
        for (std::size_t at = 0; m < end; at += elements) {
            const unsigned level = detail::largest_node(m, end);
            const std::span<const T> values = std::span(received[r]).subspan(at, elements);
            detail::add_next(sums, {level, std::vector<T>(values.begin(), values.end())});
            m += std::size_t{1} << level;
        }
    }
    while (sums.size() > 1) {  // a number of micro-batches that is no power of two
        std::vector<T>& before = sums[sums.size() - 2].values;
        for (std::size_t i = 0; i < before.size(); ++i) { before[i] += sums.back().values[i]; }
        sums.pop_back();
    }
    const std::vector<T>& gradient = sums[0].values;

    // What the optimizer looks at all gradients for is looked at by all ranks.
    std::vector<double> squares;
    std::size_t at = 0;
    std::array<std::uint64_t, 1> bad = {sizes.size()};  // the first tensor with a gradient that is not finite
    for (const detail::piece& p : mine) {
        squares.push_back(tweedie::detail::sum_of_squares(gradient.data() + at, p.last - p.first));
        if (bad[0] == sizes.size() &&
            !tweedie::detail::all_finite_elements(gradient.data() + at, p.last - p.first)) {
            bad[0] = p.tensor;
        }
        at += p.last - p.first;
    }
    double sum = 0;
    for (const double s : ranks.concatenated<double>(squares)) { sum += s; }
    optim::step_result result;
    const std::vector<std::uint64_t> bad_on_all = ranks.concatenated<std::uint64_t>(bad);
    result.tensor = static_cast<std::size_t>(*std::min_element(bad_on_all.begin(), bad_on_all.end()));
    if (std::isfinite(optimizer.clip.norm)) {
        result.gradient_norm = std::abs(optimizer.clip.scale) * std::sqrt(sum);
        if (result.gradient_norm > optimizer.clip.norm) {
            optimizer.clip.scale *= optimizer.clip.norm / result.gradient_norm;
        }
    }
    const bool all_finite = result.tensor == sizes.size();
    if (all_finite) { result.tensor = 0; }
    if (!all_finite || !std::isfinite(result.gradient_norm)) {
        result.status = optim::step_status::gradient_not_finite;
        return result;
    }
    optimizer.clip.norm = std::numeric_limits<double>::infinity();
    optimizer.non_finite = optim::on_non_finite::report;

    // This rank's part of the step.
    std::vector<std::span<T>> own;
    std::vector<std::span<const T>> own_gradients;
    at = 0;
    const std::vector<detail::piece> ranges = detail::joined(mine);
    for (const detail::piece& p : ranges) {
        own.push_back(parameters[p.tensor].subspan(p.first, p.last - p.first));
        own_gradients.push_back(std::span(gradient).subspan(at, p.last - p.first));
        at += p.last - p.first;
    }
    std::array<std::uint64_t, 1> overflowed = {sizes.size()};
    ranks.together([&] {
        if (own.empty()) { return; }
        const optim::step_result done = optimizer.step(own, own_gradients, shard);
        if (!done) { overflowed[0] = ranges[done.tensor].tensor; }
    });

    // All-gather.
    for (std::size_t r = 0; r < size; ++r) {
        std::vector<T> values;
        if (r == rank) {
            for (const std::span<T>& p : own) { values.insert(values.end(), p.begin(), p.end()); }
        }
        ranks.broadcast(values, static_cast<int>(r));
        std::size_t from = 0;
        for (const detail::piece& p : pieces_of_rank(r)) {
            std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(from), p.last - p.first,
                        parameters[p.tensor].begin() + static_cast<std::ptrdiff_t>(p.first));
            from += p.last - p.first;
        }
    }
    const std::vector<std::uint64_t> overflowed_on_all = ranks.concatenated<std::uint64_t>(overflowed);
    const auto worst =
        static_cast<std::size_t>(*std::min_element(overflowed_on_all.begin(), overflowed_on_all.end()));
    if (worst < sizes.size()) {
        result.status = optim::step_status::parameter_not_finite;
        result.tensor = worst;
    }
    return result;
}

/// The optimizer's whole state on every rank, of their parts: to save it, or to go on with another number of
/// ranks.
/// - sizes   of the parameter tensors.
/// - errors  `std::invalid_argument` on all ranks: a state that is not of these parameters.
template <std::floating_point T>
[[nodiscard]] optim::state<T> gathered_state(const communicator& ranks, std::span<const std::size_t> sizes,
                                             const optim::state<T>& shard) {
    // Of the first rank that has a part: where there are more ranks than pieces some have none.
    const std::array<std::uint64_t, 1> tensors_here = {shard.tensors.size()};
    const std::vector<std::uint64_t> tensors_of = ranks.concatenated<std::uint64_t>(tensors_here);
    int from = 0;
    while (from + 1 < ranks.size() && tensors_of[static_cast<std::size_t>(from)] == 0) { ++from; }
    std::vector<char> method(shard.method.begin(), shard.method.end());
    ranks.broadcast(method, from);
    std::vector<std::uint64_t> slots = {shard.slots};
    ranks.broadcast(slots, from);
    const std::vector<optim::tensor_record> records = ranks.concatenated<optim::tensor_record>(shard.tensors);
    optim::state<T> whole;
    whole.method.assign(method.begin(), method.end());
    whole.slots = slots[0];
    if (method.empty()) { return whole; }
    std::vector<std::size_t> starts;
    std::size_t total = 0;
    for (const std::size_t n : sizes) {
        whole.tensors.push_back({.size = n});
        starts.push_back(total);
        total += n * slots[0];
    }
    whole.values.resize(total);
    const std::vector<detail::piece> all = detail::pieces_of(sizes);
    std::size_t next = 0;  // of `records`
    for (int r = 0; r < ranks.size(); ++r) {
        std::vector<T> values;
        if (r == ranks.rank()) { values = shard.values; }
        ranks.broadcast(values, r);
        std::size_t at = 0;
        for (const detail::piece& p : detail::joined(detail::pieces_of_rank(all, r, ranks.size()))) {
            if (next == records.size() || records[next].size != p.last - p.first ||
                values.size() - at < slots[0] * (p.last - p.first)) {
                throw std::invalid_argument("gathered_state: the state is not of these parameters");
            }
            whole.tensors[p.tensor].step = records[next].step;
            whole.tensors[p.tensor].memory = records[next].memory;
            ++next;
            for (std::size_t k = 0; k < slots[0]; ++k) {
                std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(at), p.last - p.first,
                            whole.values.begin() + static_cast<std::ptrdiff_t>(
                                                       starts[p.tensor] + k * sizes[p.tensor] + p.first));
                at += p.last - p.first;
            }
        }
    }
    return whole;
}

/// A rank's part of a whole state: what `gathered_state` undoes.
/// - errors  `std::invalid_argument`: a state that does not hold what it says, or of a method that looks at
///           whole tensors.
template <std::floating_point T>
[[nodiscard]] optim::state<T> shard_of(const communicator& ranks, const optim::state<T>& whole) {
    optim::state<T> shard;
    if (whole.method.empty()) { return shard; }
    std::vector<std::size_t> sizes;
    std::vector<std::size_t> starts;
    std::size_t total = 0;
    for (const optim::tensor_record& t : whole.tensors) {
        sizes.push_back(static_cast<std::size_t>(t.size));
        starts.push_back(total);
        total += sizes.back() * whole.slots;
        if (t.extra != 0) { throw std::invalid_argument("shard_of: " + whole.method + " cannot be sharded"); }
    }
    if (total != whole.values.size()) {
        throw std::invalid_argument("shard_of: the state does not hold the values of its tensors");
    }
    shard.method = whole.method;
    shard.slots = whole.slots;
    const std::vector<detail::piece> all = detail::pieces_of(sizes);
    for (const detail::piece& p : detail::joined(detail::pieces_of_rank(all, ranks.rank(), ranks.size()))) {
        optim::tensor_record record = whole.tensors[p.tensor];
        record.size = p.last - p.first;
        shard.tensors.push_back(record);
        for (std::size_t k = 0; k < whole.slots; ++k) {
            const auto begin = whole.values.begin() +
                               static_cast<std::ptrdiff_t>(starts[p.tensor] + k * sizes[p.tensor] + p.first);
            shard.values.insert(shard.values.end(), begin, begin + static_cast<std::ptrdiff_t>(record.size));
        }
    }
    if (shard.tensors.empty()) { return {}; }
    return shard;
}

}  // namespace tweedie::distributed
