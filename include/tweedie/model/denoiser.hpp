// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/model/prediction.hpp>
#include <tweedie/schedule/concept.hpp>

#include <type_traits>
#include <utility>

namespace tweedie {

/// A network together with its convention: any callable `out = net(x, level)` or `net(x, level, out)`.
///
/// - `net`         kept by value; pass `std::ref(net)` or a lambda that captures by reference for a network
///                 that must not be copied.
/// - `prediction`  what it returns.
/// - `schedule`    the schedule it was trained on. Plans may use another one (see `convention`).
/// - `options`     how it wants its time.
///
///     const auto net = [&](const std::vector<float>& x, const network_level& at) {
///         return engine(x, at.condition);
///     };
///     const denoiser model(net, prediction::epsilon, schedule::vp_linear{}, {.time_scale = 1000.0});
template <class Network>
class denoiser {
public:
    denoiser(Network net, prediction_type prediction, any_schedule schedule, convention_options options = {})
        : network_(std::move(net)), convention_(prediction, std::move(schedule), options) {}

    [[nodiscard]] const tweedie::convention& convention() const { return convention_; }
    [[nodiscard]] Network& network() { return network_; }
    [[nodiscard]] const Network& network() const { return network_; }

private:
    Network network_;
    tweedie::convention convention_;
};

template <class Network>
denoiser(Network, prediction_type, any_schedule, convention_options = {}) -> denoiser<Network>;

}  // namespace tweedie
