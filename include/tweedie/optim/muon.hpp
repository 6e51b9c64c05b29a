// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>

namespace tweedie::optim {

/// The orthogonal factor of a matrix, nearly: all its singular values brought to about 1 by an odd
/// polynomial.
///
///     X = M / |M|,   steps times:  A = X X^T,  X = a X + (b A + c A A) X
///     (a, b, c) = (3.4445, -4.7750, 2.0315)
///
/// Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". Singular values end
/// between about 0.7 and 1.2 where they began above 0.01 of the norm.
template <class Matrix>
[[nodiscard]] Matrix orthogonalised(const Matrix& m, int steps = 5) {
    using scalar = typename Matrix::Scalar;
    const bool tall = m.rows() > m.cols();
    Matrix x = tall ? Matrix(m.transpose()) : m;
    x /= x.norm() + static_cast<scalar>(1e-7);
    Matrix a(x.rows(), x.rows());
    Matrix b(x.rows(), x.rows());
    for (int k = 0; k < steps; ++k) {
        a.noalias() = x * x.transpose();
        b.noalias() = static_cast<scalar>(2.0315) * a * a;
        b += static_cast<scalar>(-4.7750) * a;
        const Matrix y = x;
        x *= static_cast<scalar>(3.4445);
        x.noalias() += b * y;
    }
    return tall ? Matrix(x.transpose()) : x;
}

/// Muon: momentum whose step is orthogonalised, for the matrices of hidden layers.
///
///     m = momentum m + g,   theta = theta - learning_rate scale orthogonalised(g + momentum m)
///     scale = sqrt(max(1, rows / columns))
///
/// A tensor is the matrix whose columns are its `batch` samples (Eigen's columns; the transpose of xtensor's
/// and torch's [out, in]: `layout` says which extent is the outputs). Give vectors, embeddings and the last
/// layer to another optimizer: vectors here are refused.
/// Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". Deviation: none.
/// - cost    15 small matrix products per matrix; one number per element.
struct muon {
    enum class outputs {
        fast,  ///< the extent whose elements lie one after the other: Eigen's rows
        slow,  ///< the other: the first extent of [out, in]
    };
    double learning_rate = 0.02;  ///< >= 0
    double momentum = 0.95;       ///< in [0, 1)
    int newton_schulz_steps = 5;  ///< >= 1
    outputs layout = outputs::fast;
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        using element = detail::set_element_t<std::remove_reference_t<Parameters>>;
        constexpr const char* name = "muon";
        detail::require_rate(name, learning_rate);
        detail::require_beta(name, "momentum", momentum);
        detail::require_not_negative(name, "decay", decay.rate);
        detail::require_clipping(name, clip);
        if (newton_schulz_steps < 1) {
            detail::refuse_option(name, "newton_schulz_steps must be at least 1");
        }
        const auto options = detail::common_options(name, name, *this);
        detail::gathered_set<std::remove_reference_t<Parameters>> all(parameters);
        detail::gathered_set<const Gradients> slopes(gradients);
        detail::require_matching(name, all, slopes);
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (all[i].batch < 2) {
                detail::refuse_option(
                    name, "tensor " + std::to_string(i) + " is no matrix; use another optimizer for it");
            }
        }
        detail::prepare_state(name, name, 1, all, state, detail::no_extra);
        const auto check = detail::check_gradients(options, slopes);
        if (!check.finite) { return {step_status::gradient_not_finite, check.tensor, check.norm}; }
        step_result result{step_status::done, 0, check.norm};
        using matrix = Eigen::Matrix<scalar, Eigen::Dynamic, Eigen::Dynamic>;
        scalar* values = state.values.data();
        for (std::size_t i = 0; i < all.size(); ++i) {
            ++state.tensors[i].step;
            const auto range = all[i];
            const auto columns = static_cast<Eigen::Index>(range.batch);
            const auto rows = static_cast<Eigen::Index>(range.size / range.batch);
            Eigen::Map<matrix> m(values, rows, columns);
            values += range.size;
            matrix g(rows, columns);
            const auto limit = static_cast<scalar>(clip.value);
            for (std::size_t k = 0; k < range.size; ++k) {
                const scalar scaled =
                    static_cast<scalar>(check.scale) * static_cast<scalar>(slopes[i].data[k]);
                g.data()[k] = std::min(std::max(scaled, -limit), limit) +
                              static_cast<scalar>(options.coupled_decay) * static_cast<scalar>(range.data[k]);
            }
            m = static_cast<scalar>(momentum) * m + g;
            const matrix step =
                orthogonalised(matrix(g + static_cast<scalar>(momentum) * m), newton_schulz_steps);
            const double out = static_cast<double>(layout == outputs::fast ? rows : columns);
            const double in = static_cast<double>(layout == outputs::fast ? columns : rows);
            const auto rate = static_cast<scalar>(learning_rate * std::sqrt(std::max(1.0, out / in)));
            const auto keep = static_cast<scalar>(detail::kept(learning_rate, decay));
            for (std::size_t k = 0; k < range.size; ++k) {
                range.data[k] =
                    static_cast<element>(keep * static_cast<scalar>(range.data[k]) - rate * step.data()[k]);
            }
            if (!detail::all_finite_elements(range.data, range.size) && result) {
                result.status = step_status::parameter_not_finite;
                result.tensor = i;
            }
        }
        all.write_back();
        return result;
    }
};

}  // namespace tweedie::optim
