// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>

namespace tweedie::detail {

/// An uninitialised array of trivial elements whose length is known at run time; on the stack up to `Capacity`.
template <class Element, std::size_t Capacity>
class small_array {
public:
    explicit small_array(std::size_t size) {
        if (size > Capacity) { heap_.reset(new Element[size]); }
    }
    [[nodiscard]] Element* data() { return heap_ ? heap_.get() : stack_; }
    [[nodiscard]] Element& operator[](std::size_t i) { return data()[i]; }

private:
    std::unique_ptr<Element[]> heap_;
    Element stack_[Capacity];
};

}  // namespace tweedie::detail
