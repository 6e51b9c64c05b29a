// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/tensor/concept.hpp>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie {

/// What one batched network call evaluates: `outputs[i] = net(inputs[i], levels[i])`.
///
/// The inputs belong to different runs and may be at different noise levels. References are valid during the
/// call only.
/// - runs  the name of each run, as `batch::add` gave it: what a network is conditioned on may differ.
template <tensor T>
struct batched_query {
    std::span<const T* const> inputs;
    std::span<const network_level* const> levels;
    std::span<T* const> outputs;
    std::span<const std::size_t> runs;
};

/// A network that evaluates many states at once, each at its own level: `net(const batched_query<T>&)` fills
/// `outputs`.
///
/// Semantics the compiler cannot check: output i depends on input i, level i and run i alone.
template <class Network, class T>
concept batched_network =
    tensor<T> && requires(Network& network, const batched_query<T>& asked) { network(asked); };

/// Many runs in flight, at different steps, sharing each network call: continuous batching.
///
///     batch runs(stepper(shared, x0, noise{.seed = 1}));           // the first run fixes the types
///     runs.add(stepper(shared, x1, noise{.seed = 2}));             // at any time
///     while (runs.advance(net, 16) > 0) { ... runs.finished(...) ... }
///
/// Every run gives the same bits as alone: a run's arithmetic and noise never see the others. All have one
/// kind of noise source; a deterministic plan does not look at it.
/// - cost    per call, one pass per run that took part; no allocation once as many runs as before are in
///           flight.
/// - order   runs are served in turn, so none waits longer than the others.
template <tensor T, class Noise = no_noise>
class batch {
public:
    /// A run's name in its batch; never used twice.
    using id = std::size_t;

    batch() = default;
    explicit batch(stepper<T, Noise> first) { add(std::move(first)); }

    /// Takes a run in.
    id add(stepper<T, Noise> run) {
        runs_.push_back({next_id_, std::move(run)});
        return next_id_++;
    }

    /// Runs in flight.
    [[nodiscard]] std::size_t size() const { return runs_.size(); }

    /// One network call for at most `most` of the runs that are not finished, the longest waiting first.
    /// - returns  how many took part; 0 when every run has ended.
    /// - errors   `std::invalid_argument`: `most` is 0; an output of another shape. These and the network's
    ///            exceptions leave the runs as they were.
    template <batched_network<T> Network>
    std::size_t advance(Network&& network, std::size_t most) {
        if (most == 0) { throw std::invalid_argument("batch: need room for at least one run"); }
        chosen_.clear();
        inputs_.clear();
        levels_.clear();
        outputs_.clear();
        names_.clear();
        const std::size_t n = runs_.size();
        if (turn_ >= n) { turn_ = 0; }
        for (std::size_t i = 0; i < n && chosen_.size() < most; ++i) {
            const std::size_t at = (turn_ + i) % n;
            const auto asked = runs_[at].run.next();
            if (!asked) { continue; }
            chosen_.push_back(at);
            inputs_.push_back(&asked->x);
            levels_.push_back(&asked->level);
            names_.push_back(runs_[at].name);
        }
        if (chosen_.empty()) { return 0; }
        turn_ = chosen_.back() + 1;
        for (std::size_t i = 0; i < chosen_.size(); ++i) {
            if (i == memory_.size()) {
                memory_.push_back(tensor_traits<T>::like(*inputs_[i]));
            } else if (!tensor_traits<T>::same_shape(memory_[i], *inputs_[i])) {  // runs of several shapes
                T fitting = tensor_traits<T>::like(*inputs_[i]);
                std::swap(memory_[i], fitting);
            }
        }
        for (std::size_t i = 0; i < chosen_.size(); ++i) { outputs_.push_back(&memory_[i]); }
        network(batched_query<T>{inputs_, levels_, outputs_, names_});
        for (std::size_t i = 0; i < chosen_.size(); ++i) {
            if (!tensor_traits<T>::same_shape(memory_[i], *inputs_[i])) {
                throw std::invalid_argument("batch: each output must have the shape of its input");
            }
        }
        for (std::size_t i = 0; i < chosen_.size(); ++i) {
            runs_[chosen_[i]].run.supply(std::move(memory_[i]));
        }
        return chosen_.size();
    }

    /// Drops every ended run after handing it to `take(id, stepper&&)`, which may add runs.
    ///
    /// If `take` throws, the run it was given is lost; the ended runs after it are handed out the next time.
    template <class Take>
    void finished(Take&& take) {
        std::size_t kept = 0;
        std::size_t before_turn = 0;  // ended runs that stood before the one whose turn it is
        for (std::size_t i = 0; i < runs_.size(); ++i) {
            if (runs_[i].run.result().status != run_status::running) {
                ended_.push_back(std::move(runs_[i]));
                before_turn += i < turn_ ? 1U : 0U;
                continue;
            }
            if (kept != i) { runs_[kept] = std::move(runs_[i]); }
            ++kept;
        }
        turn_ -= before_turn;
        runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(kept), runs_.end());
        struct forget_the_handed_out {
            std::vector<entry>& all;
            std::size_t count = 0;
            ~forget_the_handed_out() {
                all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
            }
        } handed{ended_};
        while (handed.count < ended_.size()) {
            entry& next = ended_[handed.count++];
            take(next.name, std::move(next.run));
        }
    }

private:
    struct entry {
        id name;
        stepper<T, Noise> run;
    };

    std::vector<entry> runs_;
    std::vector<entry> ended_;  // taken out of `runs_`, not handed out yet
    id next_id_ = 0;
    std::size_t turn_ = 0;
    std::vector<std::size_t> chosen_;
    std::vector<const T*> inputs_;
    std::vector<const network_level*> levels_;
    std::vector<T*> outputs_;
    std::vector<id> names_;
    std::vector<T> memory_;
};

template <class T, class Noise>
batch(stepper<T, Noise>) -> batch<T, Noise>;

}  // namespace tweedie
