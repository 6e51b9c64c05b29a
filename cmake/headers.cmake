# SPDX-License-Identifier: MIT
# Every file that is installed. Written by `cmake -P cmake/update_headers.cmake`.

set(
    tweedie_headers
    include/tweedie/detail/affine.hpp
    include/tweedie/detail/assert.hpp
    include/tweedie/detail/parallel.hpp
    include/tweedie/detail/random_paths.hpp
    include/tweedie/detail/reduce.hpp
    include/tweedie/detail/simd.hpp
    include/tweedie/detail/small_array.hpp
    include/tweedie/grid/custom.hpp
    include/tweedie/grid/discrete.hpp
    include/tweedie/grid/karras.hpp
    include/tweedie/grid/levels.hpp
    include/tweedie/grid/log_snr.hpp
    include/tweedie/grid/uniform.hpp
    include/tweedie/model/convention.hpp
    include/tweedie/model/denoiser.hpp
    include/tweedie/model/prediction.hpp
    include/tweedie/plan/analyze.hpp
    include/tweedie/plan/exponential.hpp
    include/tweedie/plan/fold.hpp
    include/tweedie/plan/linear_form.hpp
    include/tweedie/plan/plan.hpp
    include/tweedie/plan/writer.hpp
    include/tweedie/run/observer.hpp
    include/tweedie/run/program.hpp
    include/tweedie/run/result.hpp
    include/tweedie/run/sample.hpp
    include/tweedie/run/stepper.hpp
    include/tweedie/schedule/concept.hpp
    include/tweedie/schedule/discrete.hpp
    include/tweedie/schedule/edm.hpp
    include/tweedie/schedule/flow.hpp
    include/tweedie/schedule/trig.hpp
    include/tweedie/schedule/ve.hpp
    include/tweedie/schedule/vp.hpp
    include/tweedie/solver/ddim.hpp
    include/tweedie/solver/dpm_solver.hpp
    include/tweedie/solver/euler.hpp
    include/tweedie/solver/heun.hpp
    include/tweedie/solver/unipc.hpp
    include/tweedie/tensor/concept.hpp
    include/tweedie/tensor/contiguous.hpp
    include/tweedie/tensor/host.hpp
    include/tweedie/version.hpp
)

# These do not compile alone: they need a library that only their user has, or are a part of another header.
set(
    tweedie_dependent_headers
    include/tweedie/detail/random_kernel.inc
)
