// SPDX-License-Identifier: MIT
// EXPECT: tensor
// EXPECT: affine
#include <tweedie/tensor/contiguous.hpp>

#include <vector>

struct image {
    std::vector<float> pixels;
};

#ifdef TWEEDIE_COMPILE_OK
template <>
struct tweedie::tensor_traits<image> : tweedie::contiguous_tensor_traits<image, float> {
    static float* data(image& x) { return x.pixels.data(); }
    static const float* data(const image& x) { return x.pixels.data(); }
    static std::size_t size(const image& x) { return x.pixels.size(); }
    static image like(const image& x) { return {std::vector<float>(x.pixels.size())}; }
};
#else
template <>
struct tweedie::tensor_traits<image> {  // no affine
    using scalar = float;
    using owned = image;
    static std::size_t size(const image& x) { return x.pixels.size(); }
    static std::size_t batch(const image&) { return 1; }
    static bool same_shape(const image& a, const image& b) { return a.pixels.size() == b.pixels.size(); }
    static image like(const image& x) { return {std::vector<float>(x.pixels.size())}; }
};
#endif

template <tweedie::tensor T>
std::size_t elements(const T& x) {
    return tweedie::tensor_traits<T>::size(x);
}

int main() { return elements(image{{1.0F}}) == 1 ? 0 : 1; }
