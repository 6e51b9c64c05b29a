// SPDX-License-Identifier: MIT
#include "engine.hpp"

#include <tweedie/grid/karras.hpp>
#include <tweedie/model/convention.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/unipc.hpp>

#include <algorithm>
#include <stdexcept>

namespace continuous_batching {

namespace {

using columns = train_digits::network<float>;

tweedie::plan plan_of(const request& asked) {
    using namespace tweedie;
    const schedule::edm schedule;
    const std::vector<level> levels = grid::karras(schedule, static_cast<std::size_t>(asked.steps));
    if (asked.solver == "ddim") { return solver::ddim{}.plan(schedule, levels); }
    if (asked.solver == "unipc") { return solver::unipc{.order = 3}.plan(schedule, levels); }
    if (asked.solver == "dpm_solver") { return solver::dpm_solver{.order = 2}.plan(schedule, levels); }
    if (asked.solver == "heun") { return solver::heun{}.plan(schedule, levels); }
    if (asked.solver == "ddim, stochastic") { return solver::ddim{.eta = 1.0}.plan(schedule, levels); }
    if (asked.solver == "2M SDE") { return solver::sde_dpm_solver{.order = 2}.plan(schedule, levels); }
    throw std::invalid_argument("no solver " + asked.solver);
}

}  // namespace

engine::engine(train_digits::trained from, std::size_t most)
    : network_(std::move(from)),
      most_(most),
      // with and without the label; a multiple of what the matrix product takes at once
      x_(columns::matrix::Zero(columns::pixels, static_cast<Eigen::Index>((2 * most + 7) / 8 * 8))),
      condition_(Eigen::RowVectorXd::Zero(x_.cols())),
      labels_(static_cast<std::size_t>(x_.cols()), columns::classes) {}

run engine::start(const request& asked) {
    auto found = programs_.find({asked.solver, asked.steps});
    if (found == programs_.end()) {
        const tweedie::convention convention(tweedie::prediction::edm(network_.sigma_data),
                                             tweedie::schedule::edm{},
                                             {.time = tweedie::condition::sigma_quarter_log});
        const tweedie::plan plan = plan_of(asked);
        found = programs_
                    .emplace(std::pair(asked.solver, asked.steps),
                             prepared{tweedie::program(plan, convention), plan.levels.front()})
                    .first;
    }
    const auto& [shared, first] = found->second;
    const tweedie::noise source{.seed = asked.seed};
    picture x(columns::pixels);
    tweedie::start_from_noise(x, first, source);
    return {shared, std::move(x), source};
}

void engine::serve(const tweedie::batched_query<picture>& asked, const std::vector<const request*>& of_run) {
    const std::size_t count = asked.inputs.size();
    if (count > most_) { throw std::invalid_argument("engine: too many pictures for one call"); }
    for (std::size_t i = 0; i < count; ++i) {
        for (const std::size_t column : {2 * i, 2 * i + 1}) {
            const auto at = static_cast<Eigen::Index>(column);
            x_.col(at) = Eigen::Map<const Eigen::VectorXf>(asked.inputs[i]->data(), columns::pixels);
            condition_[at] = asked.levels[i]->condition;
        }
        labels_[2 * i] = of_run[asked.runs[i]]->digit;
    }
    const columns::matrix out = network_.net.forward(x_, condition_, labels_, kept_);
    for (std::size_t i = 0; i < count; ++i) {
        const auto w = static_cast<float>(of_run[asked.runs[i]]->guidance);
        const auto at = static_cast<Eigen::Index>(2 * i);
        Eigen::Map<Eigen::VectorXf>(asked.outputs[i]->data(), columns::pixels) =
            w * out.col(at) + (1.0F - w) * out.col(at + 1);
    }
}

}  // namespace continuous_batching
