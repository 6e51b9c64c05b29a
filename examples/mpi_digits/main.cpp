// SPDX-License-Identifier: MIT
// The picture of examples/digits, made by as many MPI ranks as there are: block by block, each block on some
// rank, the same bytes whoever made it; its moments are made there too, and merged in order. Killed, it goes
// on from its checkpoint; when one rank fails, all end.
//
//     mpirun -np 4 tweedie.example.mpi_digits --per-class 8 --out out/mpi_digits.png

#include <tweedie/analytic/moments.hpp>
#include <tweedie/distributed/mpi.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "../digits/optdigits.hpp"
#include "../digits/options.hpp"
#include "../digits/picture.hpp"
#include "../digits/sampling.hpp"
#include "../digits/solvers.hpp"

namespace mpi_digits {

namespace {

using digits::classes;
using digits::pictures;
using digits::pixels;
namespace mpi = tweedie::distributed;

/// What this program takes besides the options of examples/digits.
struct options {
    digits::options asked;
    std::size_t block = 4;             // pictures made at once, on one rank
    std::filesystem::path checkpoint;  // where finished blocks are kept
    int fail = -1;                     // for the tests: the rank that throws in its work,
    int fail_alone = -1;               // the rank that throws where the others do not hear of it,
    int kill = -1;                     // the block after which rank 0 is killed
};

constexpr const char* help =
    "mpi_digits: the picture of digits, by all ranks of mpirun; besides the options of digits\n"
    "\n"
    "  --block N            pictures in a block; default 4; the picture does not depend on it\n"
    "  --checkpoint FILE    keeps finished blocks there, and begins with those it finds\n"
    "  --fail-on-rank N     that rank throws in its work, to see all of them end\n"
    "  --fail-alone N       that rank throws outside of it, to see the same\n"
    "  --kill-after N       rank 0 is killed when it has block N, to see the next run go on\n\n";

options read_options(std::span<const char* const> arguments) {
    options read;
    std::vector<const char*> others;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view name = arguments[i];
        const bool ours = name == "--block" || name == "--checkpoint" || name == "--fail-on-rank" ||
                          name == "--fail-alone" || name == "--kill-after";
        if (!ours) {
            others.push_back(arguments[i]);
            continue;
        }
        if (i + 1 == arguments.size()) { throw digits::user_error(std::string(name) + " needs a value"); }
        const char* value = arguments[++i];
        if (name == "--checkpoint") {
            read.checkpoint = value;
            continue;
        }
        char* end = nullptr;
        const long number = std::strtol(value, &end, 10);
        if (*value == '\0' || *end != '\0' || number < (name == "--block" ? 1 : 0) || number > 1'000'000) {
            throw digits::user_error(std::string(name) + " must be a whole number, not '" + value + "'");
        }
        if (name == "--block") { read.block = static_cast<std::size_t>(number); }
        if (name == "--fail-on-rank") { read.fail = static_cast<int>(number); }
        if (name == "--fail-alone") { read.fail_alone = static_cast<int>(number); }
        if (name == "--kill-after") { read.kill = static_cast<int>(number); }
    }
    read.asked = digits::read_options(others);
    return read;
}

/// Pictures `first` to `first + count` of all classes, one class after the other.
pictures make(const digits::digit_laws& laws, const tweedie::plan& plan, const digits::options& asked,
              std::size_t first, std::size_t count) {
    pictures made(pixels, static_cast<Eigen::Index>(count));
    const auto each = static_cast<std::size_t>(asked.per_class);
    for (std::size_t done = 0; done < count;) {
        const std::size_t digit = (first + done) / each;
        const std::size_t begin = (first + done) % each;
        const std::size_t here = std::min(count - done, each - begin);
        made.middleCols(static_cast<Eigen::Index>(done), static_cast<Eigen::Index>(here)) = laws.sample_from(
            static_cast<int>(digit), static_cast<int>(begin), static_cast<int>(here), plan, asked.seed);
        done += here;
    }
    return made;
}

void run(const mpi::communicator& ranks, const options& given) {
    const digits::options& asked = given.asked;
    if (asked.model != digits::options::model_kind::mixture) {
        throw digits::user_error("--model: mpi_digits samples from the exact mixture only");
    }
    std::optional<digits::digit_laws> laws;
    ranks.together([&] { laws.emplace(digits::read_optdigits(asked.data)); });  // one may lack the file
    const tweedie::plan plan = digits::plan_with_steps(asked.solver, asked.steps);
    const auto each = static_cast<std::size_t>(asked.per_class);
    const mpi::sample_blocks blocks{.samples = classes * each, .per_block = given.block};

    std::array<pictures, classes> rows;
    rows.fill(pictures(pixels, asked.per_class));
    tweedie::analytic::moments seen(pixels);
    if (ranks.rank() == given.fail_alone) { throw std::runtime_error("asked to fail alone"); }
    mpi::for_each_block<double>(
        ranks, blocks,
        {.file = given.checkpoint,
         .job = "mpi_digits, " + std::to_string(asked.per_class) + " per class, seed " +
                std::to_string(asked.seed) + ", " + plan.solver + ", " + std::to_string(asked.steps) +
                " steps"},
        [&](std::size_t b) {
            if (ranks.rank() == given.fail) { throw std::runtime_error("asked to fail"); }
            const pictures made = make(*laws, plan, asked, blocks.first(b), blocks.count(b));
            std::vector<double> values(made.data(), made.data() + made.size());
            tweedie::analytic::moments here(pixels);
            here.add(made);
            const std::vector<double> numbers = here.numbers();
            values.insert(values.end(), numbers.begin(), numbers.end());
            return values;
        },
        [&](std::size_t b, std::span<const double> values) {
            const pictures made =
                Eigen::Map<const pictures>(values.data(), pixels, static_cast<Eigen::Index>(blocks.count(b)));
            for (std::size_t i = 0; i < blocks.count(b); ++i) {
                const std::size_t at = blocks.first(b) + i;
                rows[at / each].col(static_cast<Eigen::Index>(at % each)) =
                    made.col(static_cast<Eigen::Index>(i));
            }
            seen.merge(tweedie::analytic::moments::from_numbers(
                values.subspan(static_cast<std::size_t>(made.size()))));
            if (static_cast<int>(b) == given.kill) { std::raise(SIGKILL); }
        });
    ranks.together([&] {
        if (!ranks.root()) { return; }
        digits::require_writable(asked.out);
        digits::write_png(digits::draw_grid(rows), asked.out);
        std::printf("%zu digits in %zu blocks on %d ranks: %s\n", blocks.samples, blocks.size(), ranks.size(),
                    asked.out.string().c_str());
        std::printf("mean ink %.17g, total variance %.17g\n", seen.mean().mean(), seen.covariance().trace());
    });
}

}  // namespace

}  // namespace mpi_digits

int main(int count, char** arguments) {
    const tweedie::distributed::session session(count, arguments);
    const tweedie::distributed::communicator ranks;
    try {
        const mpi_digits::options given =
            mpi_digits::read_options({arguments + 1, static_cast<std::size_t>(count > 1 ? count - 1 : 0)});
        if (given.asked.what == digits::options::task::help) {
            if (ranks.root()) { std::printf("%s%s", mpi_digits::help, digits::help().c_str()); }
            return 0;
        }
        mpi_digits::run(ranks, given);
        return 0;
    } catch (const digits::user_error& error) {
        if (ranks.root()) { std::fprintf(stderr, "mpi_digits: %s\n", error.what()); }
        return 2;
    } catch (const tweedie::distributed::rank_error& error) {  // on all ranks
        std::fprintf(stderr, "mpi_digits, rank %d: %s\n", ranks.rank(), error.what());
        return 1;
    } catch (const std::exception& error) {  // on this one, perhaps while the others wait for it
        std::fprintf(stderr, "mpi_digits, rank %d alone: %s\n", ranks.rank(), error.what());
        MPI_Abort(ranks.native(), 1);
    }
}
