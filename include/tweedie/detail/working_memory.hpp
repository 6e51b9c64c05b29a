// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

namespace tweedie::detail {

/// Room for what an object needs while it works and does not care about afterwards, of a type that is known
/// only when it is used (the tensor's). A copy starts with no memory of its own; nothing is lost by that.
class working_memory {
public:
    working_memory() = default;
    working_memory(const working_memory&) {}
    working_memory(working_memory&&) = default;
    working_memory& operator=(const working_memory&) { return *this; }
    working_memory& operator=(working_memory&&) = default;
    ~working_memory() = default;

    /// The memory as a `U`: what was left there, or a new one if it was of another type.
    template <class U>
    [[nodiscard]] U& as() {
        if (!held_ || held_->type() != &tag<U>) { held_ = std::make_unique<room<U>>(); }
        return static_cast<room<U>&>(*held_).value;
    }

private:
    template <class U>
    static constexpr char tag = 0;

    struct any_room {
        any_room() = default;
        any_room(const any_room&) = delete;
        any_room& operator=(const any_room&) = delete;
        virtual ~any_room() = default;
        [[nodiscard]] virtual const char* type() const = 0;
    };
    template <class U>
    struct room final : any_room {
        U value{};
        [[nodiscard]] const char* type() const override { return &tag<U>; }
    };

    std::unique_ptr<any_room> held_;
};

}  // namespace tweedie::detail
