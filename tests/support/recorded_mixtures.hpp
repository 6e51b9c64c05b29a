// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/mixture.hpp>

#include <Eigen/Core>
#include <support/reference.hpp>

#include <cstddef>
#include <utility>
#include <vector>

/// A mixture with starts at sigma 80 and where its exact flow takes them, at sigma 0.002; one per column.
struct recorded_mixture {
    tweedie::analytic::mixture data;
    Eigen::MatrixXd starts;
    Eigen::MatrixXd ends;
};

/// The mixtures of `examples/data/mixtures.json`.
inline std::vector<recorded_mixture> recorded_mixtures() {
    using tweedie::analytic::gaussian;
    const auto columns = [](const nlohmann::json& rows) {
        Eigen::MatrixXd out(static_cast<Eigen::Index>(rows[0].size()),
                            static_cast<Eigen::Index>(rows.size()));
        for (std::size_t j = 0; j < rows.size(); ++j) {
            for (std::size_t i = 0; i < rows[j].size(); ++i) {
                out(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = rows[j][i];
            }
        }
        return out;
    };
    std::vector<recorded_mixture> all;
    const nlohmann::json file = reference("../../examples/data/mixtures.json");
    for (const auto& m : file["mixtures"]) {
        const Eigen::MatrixXd means = columns(m["means"]);
        std::vector<gaussian> components;
        for (Eigen::Index c = 0; c < means.cols(); ++c) {
            components.emplace_back(means.col(c), columns(m["covariances"][static_cast<std::size_t>(c)]));
        }
        all.push_back({{m["weights"].get<std::vector<double>>(), std::move(components)},
                       columns(m["x_start"]),
                       columns(m["x_end_reference"])});
    }
    return all;
}
