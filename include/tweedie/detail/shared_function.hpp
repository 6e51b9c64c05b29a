// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace tweedie::detail {

/// Any function object of one signature, or none; copies share it. (By hand: `<functional>` is dear to
/// include.)
template <class Signature>
class shared_function;

template <class Result, class... Arguments>
class shared_function<Result(Arguments...)> {
public:
    shared_function() = default;

    template <class Function>
        requires(!std::same_as<std::remove_cvref_t<Function>, shared_function> &&
                 std::is_invocable_r_v<Result, const std::remove_cvref_t<Function>&, Arguments...>)
    shared_function(Function&& function)  // NOLINT: implicit by design, a function is one
        : held_(std::make_shared<holder<std::remove_cvref_t<Function>>>(std::forward<Function>(function))) {}

    [[nodiscard]] explicit operator bool() const { return held_ != nullptr; }

    Result operator()(Arguments... arguments) const { return held_->call(arguments...); }

private:
    struct any_holder {
        any_holder() = default;
        any_holder(const any_holder&) = delete;
        any_holder& operator=(const any_holder&) = delete;
        virtual ~any_holder() = default;
        [[nodiscard]] virtual Result call(Arguments... arguments) const = 0;
    };
    template <class Function>
    struct holder final : any_holder {
        explicit holder(Function given) : function(std::move(given)) {}
        [[nodiscard]] Result call(Arguments... arguments) const override { return function(arguments...); }
        Function function;
    };

    std::shared_ptr<const any_holder> held_;
};

}  // namespace tweedie::detail
