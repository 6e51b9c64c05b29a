// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
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
/// - runs      the name of each run, as `batch::add` gave it: what a network is conditioned on may differ.
/// - branches  which output of that run's call it is: 0, and with guidance (`guidance::guided`) the base's
///             number too. A guided run is asked for each output that is read, one after the other.
template <tensor T>
struct batched_query {
    std::span<const T* const> inputs;
    std::span<const network_level* const> levels;
    std::span<T* const> outputs;
    std::span<const std::size_t> runs;
    std::span<const std::size_t> branches;
};

/// A network that evaluates many states at once, each at its own level: `net(const batched_query<T>&)` fills
/// `outputs`.
///
/// Semantics the compiler cannot check: output i depends on input i, level i, run i and branch i alone.
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
/// - cost    per call, one pass per run that took part, and nothing for those that did not; no allocation
///           once as many runs as before are in flight, if all have one shape.
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
        std::size_t place = runs_.size();
        if (free_.empty()) {
            runs_.push_back({next_id_, std::move(run)});
            make_room();
        } else {
            place = free_.back();
            free_.pop_back();
            runs_[place] = {next_id_, std::move(run)};
        }
        enqueue(place);
        return next_id_++;
    }

    /// Runs in flight: those that `finished` has not handed out.
    [[nodiscard]] std::size_t size() const { return waiting_ + ended_.size(); }

    /// One network call for at most `most` of the runs that are not finished, the longest waiting first.
    /// - returns  how many took part; 0 when every run has ended.
    /// - errors   `std::invalid_argument`: `most` is 0; an output of another shape. These and the network's
    ///            exceptions leave the runs as they were.
    template <batched_network<T> Network>
    std::size_t advance(Network&& network, std::size_t most) {
        if (most == 0) { throw std::invalid_argument("batch: need room for at least one run"); }
        const std::size_t count = std::min(most, waiting_);
        if (count == 0) { return 0; }
        inputs_.clear();
        levels_.clear();
        outputs_.clear();
        names_.clear();
        branches_.clear();
        places_.clear();
        std::size_t tensors = 0;  // one for each output of each run, those that are not read too
        for (std::size_t i = 0; i < count; ++i) {
            const entry& next = runs_[queue_[(first_ + i) % queue_.size()]];
            const auto asked = next.run.next();
            const std::size_t outputs = asked->blend.empty() ? 1 : asked->blend.size();
            for (std::size_t branch = 0; branch < outputs; ++branch, ++tensors) {
                if (tensors == memory_.size()) {
                    memory_.push_back(tensor_traits<T>::like(asked->x));
                } else if (!tensor_traits<T>::same_shape(memory_[tensors],
                                                         asked->x)) {  // runs of several shapes
                    T fitting = tensor_traits<T>::like(asked->x);
                    std::swap(memory_[tensors], fitting);
                }
                if (!asked->blend.empty() && asked->blend[branch] == 0.0) { continue; }
                inputs_.push_back(&asked->x);
                levels_.push_back(&asked->level);
                names_.push_back(next.name);
                branches_.push_back(branch);
                places_.push_back(tensors);
            }
        }
        for (const std::size_t place : places_) { outputs_.push_back(&memory_[place]); }
        network(batched_query<T>{inputs_, levels_, outputs_, names_, branches_});
        for (std::size_t i = 0; i < outputs_.size(); ++i) {
            if (!tensor_traits<T>::same_shape(*outputs_[i], *inputs_[i])) {
                throw std::invalid_argument("batch: each output must have the shape of its input");
            }
        }
        tensors = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t place = queue_[first_];
            const std::size_t outputs = runs_[place].run.next()->blend.size();
            if (outputs == 0) {
                runs_[place].run.supply(std::move(memory_[tensors++]));
            } else {
                outputs_.clear();
                while (outputs_.size() < outputs) { outputs_.push_back(&memory_[tensors++]); }
                runs_[place].run.supply(std::span<T* const>(outputs_));
            }
            first_ = (first_ + 1) % queue_.size();
            --waiting_;
            enqueue(place);
        }
        return count;
    }

    /// Drops every ended run after handing it to `take(id, stepper&&)`, which may add runs.
    ///
    /// If `take` throws, the run it was given is lost; the ended runs after it are handed out the next time.
    template <class Take>
    void finished(Take&& take) {
        handed_.swap(ended_);  // a run that `take` adds may have ended: it is handed out the next time
        struct forget_the_handed_out {
            batch& of;
            std::size_t count = 0;
            ~forget_the_handed_out() {
                of.ended_.insert(of.ended_.begin(), of.handed_.begin() + static_cast<std::ptrdiff_t>(count),
                                 of.handed_.end());
                of.handed_.clear();
            }
        } handed{*this};
        while (handed.count < handed_.size()) {
            const std::size_t place = handed_[handed.count++];
            entry next = std::move(runs_[place]);
            free_.push_back(place);
            take(next.name, std::move(next.run));
        }
    }

private:
    struct entry {
        id name;
        stepper<T, Noise> run;
    };

    /// To the end of the queue, or to the ended ones. Room was made when the run came.
    void enqueue(std::size_t place) {
        if (runs_[place].run.result().status != run_status::running) {
            ended_.push_back(place);
            return;
        }
        queue_[(first_ + waiting_) % queue_.size()] = place;
        ++waiting_;
    }

    /// One place more in the queue, which begins at its front again; nothing is allocated later.
    void make_room() {
        if (queue_.size() < runs_.size()) {
            std::rotate(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(first_), queue_.end());
            first_ = 0;
            queue_.resize(std::max(runs_.size(), 2 * queue_.size()));
        }
        ended_.reserve(queue_.size());
        handed_.reserve(queue_.size());
        free_.reserve(queue_.size());
    }

    std::vector<entry> runs_;         // each in a place of its own
    std::vector<std::size_t> free_;   // places without a run
    std::vector<std::size_t> queue_;  // a ring: places of runs that wait, the longest waiting at `first_`
    std::size_t first_ = 0;
    std::size_t waiting_ = 0;
    std::vector<std::size_t> ended_;   // places of ended runs, not handed out yet
    std::vector<std::size_t> handed_;  // those of the `finished` under way
    id next_id_ = 0;
    std::vector<const T*> inputs_;
    std::vector<const network_level*> levels_;
    std::vector<T*> outputs_;
    std::vector<id> names_;
    std::vector<std::size_t> branches_;
    std::vector<std::size_t> places_;  // in memory, of each output that is asked for
    std::vector<T> memory_;
};

template <class T, class Noise>
batch(stepper<T, Noise>) -> batch<T, Noise>;

}  // namespace tweedie
