# SPDX-License-Identifier: MIT
# For the tests and examples that run on several ranks: finds MPI, and what a test must set so that OpenMPI starts more
# ranks than there are cores, as root in a container, without a remote shell. Other MPIs do not look at it.

set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI COMPONENTS CXX)
if(MPI_CXX_FOUND)
    get_target_property(is_global MPI::MPI_CXX IMPORTED_GLOBAL)
    if(NOT is_global)
        set_target_properties(MPI::MPI_CXX PROPERTIES IMPORTED_GLOBAL TRUE) # tweedie::mpi looks from another folder
    endif()
endif()
set(
    tweedie_mpi_environment
    OMPI_ALLOW_RUN_AS_ROOT=1
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    OMPI_MCA_plm_rsh_agent=
    OMPI_MCA_rmaps_base_oversubscribe=1
    OMPI_MCA_btl_vader_single_copy_mechanism=none
    OMP_NUM_THREADS=1
)
