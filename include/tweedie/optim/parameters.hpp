// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/small_array.hpp>
#include <tweedie/optim/half.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/host.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie {

namespace detail {

template <class Element>
concept half_element = std::same_as<Element, optim::bfloat16> || std::same_as<Element, optim::float16>;

template <class Element>
concept parameter_element = tensor_scalar<Element> || half_element<Element>;

/// Elements that lie one after the other, wherever they come from.
template <class Element>
struct element_range {
    Element* data;
    std::size_t size;
    std::size_t batch;  // a matrix of size / batch by batch, column after column
};

template <class T>
struct is_element_range : std::false_type {};
template <class Element, std::size_t Extent>
    requires parameter_element<std::remove_const_t<Element>>
struct is_element_range<std::span<Element, Extent>> : std::true_type {};
template <half_element Element, class Allocator>
struct is_element_range<std::vector<Element, Allocator>> : std::true_type {};

template <class T>
concept viewable = tensor_view<T> && !is_element_range<T>::value && contiguous_tensor<owned_t<T>>;

template <class T>
concept copied_tensor =
    tensor<T> && !contiguous_tensor<T> &&
    requires(T& out, const T& x, std::span<scalar_t<T>> to, std::span<const scalar_t<T>> from) {
        tensor_traits<T>::read(x, to);
        tensor_traits<T>::write(out, from);
    };

/// What is worked on in memory of its own.
template <class T>
concept loaded_tensor = viewable<T> || copied_tensor<T>;

}  // namespace detail

namespace optim {

/// Something whose elements an optimizer can read (and, of parameters, write): a tensor of contiguous CPU
/// memory, a `std::span` of `float`, `double`, `bfloat16` or `float16`, a `std::vector` of the 16-bit types,
/// or a view that its backend can load and store (`Eigen::Map`, `Eigen::Ref`, blocks, xtensor views). Any
/// other tensor is one if its `tensor_traits` has two more functions, which copy its elements, sample after
/// sample, to and from CPU memory:
///
///     static void read(const T& x, std::span<scalar> to);
///     static void write(T& x, std::span<const scalar> from);
///
/// Views and such tensors are copied once a step, there and back; the others are worked on where they are.
template <class T>
concept parameter_tensor =
    contiguous_tensor<T> || tweedie::detail::is_element_range<T>::value || tweedie::detail::loaded_tensor<T>;

}  // namespace optim

namespace detail {

template <class T>
struct element_of;
template <contiguous_tensor T>
struct element_of<T> {
    using type = scalar_t<T>;
};
template <class T>
    requires(is_element_range<T>::value)
struct element_of<T> {
    using type = std::remove_const_t<std::remove_reference_t<decltype(std::declval<T&>()[0])>>;
};
template <loaded_tensor T>
struct element_of<T> {
    using type = scalar_t<T>;
};

/// The tensors of a list have one type, or are a tuple of references.
template <class List>
struct list_item {};
template <class List>
    requires requires(List& list) {
        list.size();
        list[std::size_t{0}];
    }
struct list_item<List> {
    using type = std::remove_cvref_t<decltype(std::declval<List&>()[std::size_t{0}])>;
};
template <class First, class... Rest>
struct list_item<std::tuple<First, Rest...>> {
    using type = std::remove_cvref_t<First>;
};

template <class T>
inline constexpr bool is_tuple = false;
template <class... Items>
inline constexpr bool is_tuple<std::tuple<Items...>> = true;

template <class T>
concept tensor_list = !optim::parameter_tensor<T> && requires { typename list_item<T>::type; } &&
                      optim::parameter_tensor<typename list_item<T>::type>;

}  // namespace detail

namespace optim {

/// What `step` accepts: one `parameter_tensor`, a container or span of them, or a `std::tie` of several types
/// with equal elements.
///
/// Not satisfied? Include the backend of your tensor type; see `parameter_tensor`.
template <class T>
concept parameter_set =
    parameter_tensor<std::remove_cvref_t<T>> || tweedie::detail::tensor_list<std::remove_cvref_t<T>>;

}  // namespace optim

namespace detail {

template <class T>
struct set_element {
    using type = typename element_of<typename list_item<T>::type>::type;
};
template <optim::parameter_tensor T>
struct set_element<T> {
    using type = typename element_of<T>::type;
};
template <class T>
using set_element_t = typename set_element<std::remove_const_t<T>>::type;

}  // namespace detail

namespace optim {

/// The scalar of the state of an optimizer of `Parameters`: `double` for parameters in double, `float`
/// otherwise.
template <parameter_set Parameters>
using state_scalar_t = std::conditional_t<
    std::same_as<tweedie::detail::set_element_t<std::remove_reference_t<Parameters>>, double>, double, float>;

}  // namespace optim

namespace detail {

/// Where the elements of a set of tensors are. Nothing is copied and, up to 128 tensors, nothing allocated;
/// but a view is loaded into memory of its own, which `write_back` stores.
template <class Set>
class gathered_set {
    static constexpr bool is_const = std::is_const_v<Set>;
    using plain = std::remove_const_t<Set>;

public:
    using element = std::conditional_t<is_const, const set_element_t<Set>, set_element_t<Set>>;

    explicit gathered_set(Set& set) : set_(set), size_(count(set)), ranges_(size_) {
        std::size_t i = 0;
        each([&](auto& item) { ranges_[i++] = range(item); });
    }

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] const element_range<element>& operator[](std::size_t i) { return ranges_[i]; }

    /// Stores what was loaded.
    void write_back() {
        if constexpr (!is_const) {
            [[maybe_unused]] std::size_t next = 0;
            each([&](auto& item) {
                using item_type = std::remove_cvref_t<decltype(item)>;
                if constexpr (loaded_tensor<item_type>) { store(item, ranges_[next]); }
                ++next;
            });
        }
    }

private:
    static std::size_t count([[maybe_unused]] const plain& set) {
        if constexpr (optim::parameter_tensor<plain>) {
            return 1;
        } else if constexpr (is_tuple<plain>) {
            return std::tuple_size_v<plain>;
        } else {
            return static_cast<std::size_t>(set.size());
        }
    }

    template <class Function>
    void each(const Function& f) {
        if constexpr (optim::parameter_tensor<plain>) {
            f(set_);
        } else if constexpr (is_tuple<plain>) {
            std::apply([&](auto&... items) { (f(items), ...); }, set_);
        } else {
            for (std::size_t i = 0; i < size_; ++i) {
                auto&& item = set_[i];
                f(item);
            }
        }
    }

    template <class Item>
    element_range<element> range(Item& item) {
        using type = std::remove_const_t<Item>;
        if constexpr (contiguous_tensor<type>) {
            return {tensor_traits<type>::data(item), tensor_traits<type>::size(item),
                    tensor_traits<type>::batch(item)};
        } else if constexpr (is_element_range<type>::value) {
            return {item.data(), item.size(), 1};
        } else if constexpr (copied_tensor<type>) {
            auto& copy = loaded_.emplace_back(tensor_traits<type>::size(item));
            tensor_traits<type>::read(item, std::span<scalar_t<type>>(copy));
            return {copy.data(), copy.size(), tensor_traits<type>::batch(item)};
        } else {
            using owned = owned_t<type>;
            owned copy = tensor_traits<type>::like(item);
            tensor_traits<type>::load(copy, item);
            const std::size_t size = tensor_traits<owned>::size(copy);
            const auto* from = tensor_traits<owned>::data(copy);
            loaded_.emplace_back(from, from + size);
            return {loaded_.back().data(), size, tensor_traits<owned>::batch(copy)};
        }
    }

    template <class Item>
    void store(Item& item, const element_range<element>& from) {
        using type = std::remove_const_t<Item>;
        if constexpr (copied_tensor<type>) {
            tensor_traits<type>::write(item, std::span<const scalar_t<type>>(from.data, from.size));
        } else {
            using owned = owned_t<type>;
            owned copy = tensor_traits<type>::like(item);
            std::copy_n(from.data, from.size, tensor_traits<owned>::data(copy));
            tensor_traits<type>::store(item, copy);
        }
    }

    Set& set_;
    std::size_t size_;
    small_array<element_range<element>, 128> ranges_;
    std::vector<std::vector<std::remove_const_t<element>>> loaded_;
};

}  // namespace detail

}  // namespace tweedie
