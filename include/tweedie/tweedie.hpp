// SPDX-License-Identifier: MIT
#pragma once

// Everything that sampling needs, and no third-party header. Beside it, where wanted: the backends
// <tweedie/tensor/eigen.hpp> and <tweedie/tensor/xtensor.hpp>, and the rooms analytic/ and verify/, whose headers
// use Eigen and take seconds to compile.

#include <tweedie/grid/custom.hpp>
#include <tweedie/grid/discrete.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/model/convention.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/model/prediction.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/text.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/random/normal.hpp>
#include <tweedie/random/philox.hpp>
#include <tweedie/run/batch.hpp>
#include <tweedie/run/observer.hpp>
#include <tweedie/run/program.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/run/threshold.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/renoise.hpp>
#include <tweedie/solver/start.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/contiguous.hpp>
#include <tweedie/tensor/host.hpp>
#include <tweedie/version.hpp>
