// SPDX-License-Identifier: MIT
#include "mixtures.hpp"

#include <Eigen/Eigenvalues>
#include <nlohmann/json.hpp>

#include <fstream>
#include <stdexcept>
#include <utility>

namespace proof {

namespace {

using nlohmann::json;

Eigen::VectorXd vector_of(const json& values) {
    const auto numbers = values.get<std::vector<double>>();
    return Eigen::Map<const Eigen::VectorXd>(numbers.data(), static_cast<Eigen::Index>(numbers.size()));
}

/// A list of points, one per column.
Eigen::MatrixXd columns_of(const json& points) {
    Eigen::MatrixXd out(static_cast<Eigen::Index>(points.at(0).size()),
                        static_cast<Eigen::Index>(points.size()));
    for (std::size_t j = 0; j < points.size(); ++j) {
        const Eigen::VectorXd column = vector_of(points[j]);
        if (column.size() != out.rows()) { throw std::runtime_error("rows of different length"); }
        out.col(static_cast<Eigen::Index>(j)) = column;
    }
    return out;
}

problem problem_of(const json& recorded) {
    std::vector<tweedie::analytic::gaussian> components;
    const json& means = recorded.at("means");
    for (std::size_t c = 0; c < means.size(); ++c) {
        const Eigen::MatrixXd covariance = columns_of(recorded.at("covariances").at(c));
        const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(covariance);
        components.push_back(tweedie::analytic::gaussian::low_rank(vector_of(means[c]), eigen.eigenvectors(),
                                                                   eigen.eigenvalues().cwiseMax(0.0)));
    }
    problem out{{recorded.at("weights").get<std::vector<double>>(), std::move(components)},
                recorded.at("sigma_max"),
                recorded.at("sigma_min"),
                columns_of(recorded.at("x_start")),
                columns_of(recorded.at("x_end_reference"))};
    if (out.starts.rows() != out.data.dimension() || out.ends.rows() != out.starts.rows() ||
        out.ends.cols() != out.starts.cols()) {
        throw std::runtime_error("starts, ends and means of different size");
    }
    return out;
}

}  // namespace

std::vector<problem> read_problems(const std::string& file) {
    std::ifstream in(file);
    if (!in) { throw std::runtime_error(file + ": cannot be read"); }
    std::vector<problem> out;
    try {
        const json recorded = json::parse(in);
        for (const json& mixture : recorded.at("mixtures")) { out.push_back(problem_of(mixture)); }
    } catch (const std::exception& error) { throw std::runtime_error(file + ": " + error.what()); }
    if (out.empty()) { throw std::runtime_error(file + ": has no mixture"); }
    return out;
}

}  // namespace proof
