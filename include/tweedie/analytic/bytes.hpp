// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/detail/bytes.hpp>

#include <Eigen/Core>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tweedie::detail {

inline constexpr std::string_view gaussian_mark = "tweegau1";  // the last letter is the version
inline constexpr std::string_view mixture_mark = "tweemix1";

/// What lies between mark and checksum, if the mark says `what`.
[[nodiscard]] inline byte_reader open_model(std::span<const std::byte> bytes, std::string_view mark,
                                            const std::string& what) {
    const std::size_t kind = mark.size() - 1;
    if (bytes.size() >= mark.size() && std::memcmp(bytes.data(), mark.data(), kind) == 0 &&
        std::to_integer<char>(bytes[kind]) != mark[kind]) {
        throw std::invalid_argument("from_bytes: the " + what + " was saved in another version");
    }
    return open_sealed(bytes, mark, ("from_bytes: the data are no saved " + what).c_str());
}

inline void write(byte_writer& out, const analytic::gaussian& from) {
    const auto copied = [](const auto& matrix) {
        return std::vector<double>(matrix.data(), matrix.data() + matrix.size());
    };
    out.number(static_cast<std::uint64_t>(from.dimension()));
    out.number(static_cast<std::uint64_t>(from.rank()));
    out.number(std::bit_cast<std::uint64_t>(from.residual()));
    out.values(copied(from.mean()));
    out.values(copied(from.eigenvalues()));
    out.values(copied(from.eigenvectors()));
}

[[nodiscard]] inline analytic::gaussian read_gaussian(byte_reader& in) {
    const std::uint64_t d = in.number();
    const std::uint64_t r = in.number();
    const auto residual = std::bit_cast<double>(in.number());
    const std::uint64_t numbers = in.left() / sizeof(double);
    if (r > d || d > numbers || (r > 0 && d > numbers / r)) {
        throw std::invalid_argument("from_bytes: the data end too early");
    }
    const auto rows = static_cast<Eigen::Index>(d);
    const auto columns = static_cast<Eigen::Index>(r);
    const std::vector<double> mean = in.values<double>(d);
    const std::vector<double> values = in.values<double>(r);
    const std::vector<double> vectors = in.values<double>(d * r);
    return analytic::gaussian::low_rank(Eigen::Map<const Eigen::VectorXd>(mean.data(), rows),
                                        Eigen::Map<const Eigen::MatrixXd>(vectors.data(), rows, columns),
                                        Eigen::Map<const Eigen::VectorXd>(values.data(), columns), residual);
}

/// A mixture whose weights are taken as they are: dividing by their sum once more could change a last bit.
struct saved_mixture {
    [[nodiscard]] static analytic::mixture restored(const std::vector<double>& weights,
                                                    std::vector<analytic::gaussian> components) {
        analytic::mixture out(weights, std::move(components));
        out.weights_ = weights;
        return out;
    }
};

}  // namespace tweedie::detail

namespace tweedie::analytic {

/// The Gaussian as bytes that `gaussian_from_bytes` turns into an equal one, to the bit; with a mark, a
/// version and a checksum. 8 (d + 1) (rank + 1) bytes and a few.
[[nodiscard]] inline std::vector<std::byte> to_bytes(const gaussian& from) {
    detail::byte_writer out;
    out.text(detail::gaussian_mark);
    detail::write(out, from);
    return out.sealed();
}

/// The Gaussian that `to_bytes` saved.
/// - errors  `std::invalid_argument`: the data are no Gaussian, of another version, cut off or damaged.
[[nodiscard]] inline gaussian gaussian_from_bytes(std::span<const std::byte> bytes) {
    detail::byte_reader in = detail::open_model(bytes, detail::gaussian_mark, "gaussian");
    gaussian out = detail::read_gaussian(in);
    detail::require_end(in);
    return out;
}

/// The mixture as bytes that `mixture_from_bytes` turns into an equal one, to the bit.
[[nodiscard]] inline std::vector<std::byte> to_bytes(const mixture& from) {
    detail::byte_writer out;
    out.text(detail::mixture_mark);
    out.number(from.weights().size());
    out.values(from.weights());
    for (const gaussian& component : from.components()) { detail::write(out, component); }
    return out.sealed();
}

/// The mixture that `to_bytes` saved.
/// - errors  `std::invalid_argument`: the data are no mixture, of another version, cut off or damaged.
[[nodiscard]] inline mixture mixture_from_bytes(std::span<const std::byte> bytes) {
    detail::byte_reader in = detail::open_model(bytes, detail::mixture_mark, "mixture");
    const std::vector<double> weights = in.values<double>(in.number());
    std::vector<gaussian> components;
    for (std::size_t c = 0; c < weights.size(); ++c) { components.push_back(detail::read_gaussian(in)); }
    detail::require_end(in);
    return detail::saved_mixture::restored(weights, std::move(components));
}

}  // namespace tweedie::analytic
