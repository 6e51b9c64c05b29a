// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/run/batch.hpp>
#include <tweedie/run/program.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/tensor/host.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../train_digits/network.hpp"
#include "traffic.hpp"

namespace continuous_batching {

using picture = std::vector<float>;
using run = tweedie::stepper<picture, tweedie::noise>;

/// A network behind a queue: many pictures in one call, each at its own noise level, of its own digit, with
/// its own guidance.
///
/// Every call evaluates the same number of columns, the free ones being idle, as an engine with fixed shapes
/// does: then a column's bits do not depend on who else is there.
class engine {
public:
    /// - `most`  pictures in one call.
    engine(train_digits::trained from, std::size_t most);

    [[nodiscard]] std::size_t most() const { return most_; }

    /// The run of a request. Requests with the same solver and steps share one program.
    [[nodiscard]] run start(const request& asked);

    /// Says which request each of the batch's runs belongs to.
    void serve(const tweedie::batched_query<picture>& asked, const std::vector<const request*>& of_run);

private:
    struct prepared {
        tweedie::program program;
        tweedie::level first;  // where its runs begin
    };

    train_digits::trained network_;
    std::size_t most_;
    std::map<std::pair<std::string, int>, prepared> programs_;
    train_digits::network<float>::trace kept_;
    train_digits::network<float>::matrix x_;
    Eigen::RowVectorXd condition_;
    std::vector<int> labels_;
};

}  // namespace continuous_batching
