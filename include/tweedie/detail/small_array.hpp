// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace tweedie::detail {

/// An uninitialised array of trivial elements whose length is known at run time; on the stack up to
/// `Capacity`. (By hand: `<memory>` would cost half of what including the library may.)
template <class Element, std::size_t Capacity>
class small_array {
public:
    explicit small_array(std::size_t size) : data_(size > Capacity ? new Element[size] : stack_) {}
    small_array(const small_array&) = delete;
    small_array& operator=(const small_array&) = delete;
    ~small_array() {
        if (data_ != stack_) { delete[] data_; }
    }
    [[nodiscard]] Element* data() { return data_; }
    [[nodiscard]] Element& operator[](std::size_t i) { return data_[i]; }

private:
    Element* data_;
    Element stack_[Capacity];
};

}  // namespace tweedie::detail
