// SPDX-License-Identifier: MIT
#include <tweedie/optim/adafactor.hpp>
#include <tweedie/optim/lamb.hpp>
#include <tweedie/optim/muon.hpp>
#include <tweedie/optim/support.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>
#include <Eigen/SVD>
#include <support/catch.hpp>
#include <support/normals.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace {

using namespace tweedie;
using Eigen::MatrixXd;

/// Resumes from saved bytes to the bit, and is refused what it cannot use.
template <class Optimizer>
void check_resume(const Optimizer& optimizer) {
    std::vector<MatrixXd> x{normals(4, 6, 1), normals(5, 2, 2)};
    optim::state<double> state;
    const auto step = [&](auto& at, auto& memory) {
        std::vector<MatrixXd> g = at;
        for (MatrixXd& one : g) { one *= 1.5; }
        REQUIRE(optimizer.step(at, g, memory));
    };
    for (int k = 0; k < 3; ++k) { step(x, state); }
    auto y = x;
    auto loaded = optim::from_bytes<double>(optim::to_bytes(state));
    for (int k = 0; k < 3; ++k) {
        step(x, state);
        step(y, loaded);
    }
    CHECK(x[0] == y[0]);
    CHECK(x[1] == y[1]);
    CHECK(state == loaded);
    std::vector<MatrixXd> g = x;
    g[1](0, 0) = not_a_number;
    const auto result = optimizer.step(y, g, loaded);
    CHECK(result.status == optim::step_status::gradient_not_finite);
    CHECK(result.tensor == 1);
    CHECK(x[0] == y[0]);
    CHECK(state == loaded);
}

}  // namespace

TEST_CASE("lamb's step is the learning rate's part of the tensor", "[optim][lamb][exact]") {
    const optim::lamb optimizer{.learning_rate = 0.01, .decay = optim::decoupled(0.1)};
    MatrixXd x = normals(6, 5, 3);
    optim::state<double> state;
    MatrixXd m = MatrixXd::Zero(6, 5);
    MatrixXd v = MatrixXd::Zero(6, 5);
    MatrixXd y = x;
    for (int t = 1; t <= 20; ++t) {
        const MatrixXd g = 2 * x + normals(6, 5, 100 + static_cast<unsigned>(t));
        const MatrixXd h = 2 * y + normals(6, 5, 100 + static_cast<unsigned>(t));
        const MatrixXd before = x;
        REQUIRE(optimizer.step(x, g, state));
        CHECK_THAT((x - before).norm() / before.norm(), WithinRel(0.01, tol<double>::identity));
        m = 0.9 * m + 0.1 * h;
        v = 0.999 * v + 0.001 * h.cwiseProduct(h);
        const MatrixXd root = (v / (1 - std::pow(0.999, t))).cwiseSqrt();
        const MatrixXd u =
            (m / (1 - std::pow(0.9, t))).cwiseQuotient((root.array() + 1e-6).matrix()) + 0.1 * y;
        y -= 0.01 * y.norm() / u.norm() * u;
    }
    CHECK_THAT((x - y).norm(), WithinAbs(0, 1e-12));
    check_resume(optimizer);
    CHECK_THROWS_WITH((void)optim::lamb{.most = not_a_number}.step(x, y, state),
                      "lamb: most must be at least least");
}

TEST_CASE("adafactor keeps row and column means of a matrix", "[optim][adafactor][exact]") {
    const optim::adafactor optimizer{.learning_rate = 0.05};
    MatrixXd x = normals(6, 5, 3);
    MatrixXd y = x;
    Eigen::VectorXd r = Eigen::VectorXd::Zero(6);
    Eigen::RowVectorXd c = Eigen::RowVectorXd::Zero(5);
    optim::state<double> state;
    for (int t = 1; t <= 20; ++t) {
        REQUIRE(optimizer.step(x, MatrixXd(2 * x + normals(6, 5, 100 + static_cast<unsigned>(t))), state));
        const MatrixXd g = 2 * y + normals(6, 5, 100 + static_cast<unsigned>(t));
        const MatrixXd square = (g.array().square() + 1e-30).matrix();
        const double b = 1 - std::pow(t, -0.8);
        r = b * r + (1 - b) * square.rowwise().sum();
        c = b * c + (1 - b) * square.colwise().sum();
        const MatrixXd v = r * c / r.sum();  // the paper's sums
        MatrixXd u = g.cwiseQuotient(v.cwiseSqrt());
        u /= std::max(1.0, std::sqrt(u.squaredNorm() / 30));
        y -= std::max(1e-3, std::sqrt(y.squaredNorm() / 30)) * std::min(0.05, 1 / std::sqrt(t)) * u;
    }
    CHECK_THAT((x - y).norm(), WithinAbs(0, 1e-12));
    CHECK(state.values.size() == 11);
    check_resume(optimizer);
    std::vector<double> vector = numbers<double>(8, 1);
    optim::state<double> own;
    CHECK(optimizer.step(vector, bowl(vector), own));
    CHECK(own.values.size() == 8);
}

TEST_CASE("orthogonalised brings singular values near 1 and keeps the singular vectors",
          "[optim][muon][exact]") {
    for (const auto& [rows, columns] : {std::pair{8, 8}, {12, 5}, {4, 9}}) {
        const MatrixXd m = normals(rows, columns, 5);
        const MatrixXd o = optim::orthogonalised(m);
        const auto values = o.jacobiSvd().singularValues().eval();
        CHECK(values.minCoeff() > 0.3);  // of a square Gaussian matrix the smallest may begin below 0.01
        CHECK(values.maxCoeff() < 1.25);
        const Eigen::JacobiSVD<MatrixXd> svd(m, Eigen::ComputeThinU | Eigen::ComputeThinV);
        const MatrixXd inner = svd.matrixU().transpose() * o * svd.matrixV();
        const MatrixXd diagonal = inner.diagonal().asDiagonal();
        CHECK_THAT((inner - diagonal).norm(), WithinAbs(0, 1e-12));
    }
}

TEST_CASE("muon steps by the orthogonalised momentum", "[optim][muon][exact]") {
    const optim::muon optimizer{.learning_rate = 0.1, .decay = optim::decoupled(0.5)};
    MatrixXd x = normals(6, 3, 1);
    MatrixXd y = x;
    MatrixXd m = MatrixXd::Zero(6, 3);
    optim::state<double> state;
    for (int t = 0; t < 5; ++t) {
        const MatrixXd g = normals(6, 3, 10 + static_cast<unsigned>(t));
        REQUIRE(optimizer.step(x, g, state));
        m = 0.95 * m + g;
        y = (1 - 0.05) * y - 0.1 * std::sqrt(2.0) * optim::orthogonalised(MatrixXd(g + 0.95 * m));
    }
    CHECK_THAT((x - y).norm(), WithinAbs(0, 1e-13));
    check_resume(optimizer);
    Eigen::VectorXd bias(3);
    optim::state<double> own;
    CHECK_THROWS_WITH((void)optimizer.step(bias, bias, own),
                      "muon: tensor 0 is no matrix; use another optimizer for it");
}
