// SPDX-License-Identifier: MIT

// Run by mpirun on 1, 2, 3 and 4 ranks: every promise of tweedie/distributed, checked on each rank against
// what one process computes alone. Prints what fails and returns 1.

#include <tweedie/analytic/moments.hpp>
#include <tweedie/distributed/mpi.hpp>
#include <tweedie/distributed/optimizer.hpp>
#include <tweedie/optim/clip.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/host.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace tweedie;
using distributed::communicator;

int failures = 0;

void check(bool holds, const char* sentence) {
    if (holds) { return; }
    ++failures;
    std::printf("FAILED: %s\n", sentence);
}

template <class Error, class Body>
void check_throws(const Body& body, const std::string& text, const char* sentence) {
    try {
        body();
    } catch (const Error& error) {
        check(std::string(error.what()).find(text) != std::string::npos, sentence);
        return;
    } catch (...) {}
    check(false, sentence);
}

std::vector<double> normals(std::uint64_t sample, std::size_t size) {
    std::vector<double> x(size);
    noise{.seed = 11, .sample = sample}.stream(draw_kind::user, 0)(0, 0, std::span<double>(x));
    return x;
}

/// What a block holds: its number decides its values and its length.
std::vector<double> block(std::size_t b) { return normals(b, 4 * (b % 3)); }

void blocks_come_in_order(const communicator& ranks) {
    const distributed::sample_blocks blocks{.samples = 101, .per_block = 10};
    std::size_t next = 0;
    bool same = true;
    distributed::for_each_block<double>(
        ranks, blocks, [](std::size_t b) { return block(b); },
        [&](std::size_t b, std::span<const double> values) {
            const std::vector<double> alone = block(b);
            same =
                same && b == next++ && std::equal(values.begin(), values.end(), alone.begin(), alone.end());
        });
    check(same, "blocks are handed over in order, as one process makes them");
    check(next == (ranks.root() ? 11U : 0U), "rank 0 takes every block, the others none");
}

void an_error_reaches_all(const communicator& ranks) {
    const distributed::sample_blocks blocks{.samples = 12, .per_block = 1};
    const std::size_t bad = static_cast<std::size_t>(ranks.size()) - 1;  // of the last rank
    const std::string said = "rank " + std::to_string(ranks.size() - 1) + ": block " + std::to_string(bad);
    check_throws<distributed::rank_error>(
        [&] {
            distributed::for_each_block<double>(
                ranks, blocks,
                [&](std::size_t b) {
                    if (b == bad) { throw std::runtime_error("block " + std::to_string(b)); }
                    return block(b);
                },
                [](std::size_t, std::span<const double>) {});
        },
        said, "what one rank throws while it makes a block, all throw");
    check_throws<distributed::rank_error>(
        [&] {
            distributed::for_each_block<double>(
                ranks, blocks, [](std::size_t b) { return block(b); },
                [](std::size_t b, std::span<const double>) {
                    if (b == 3) { throw std::runtime_error("the disk is full"); }
                });
        },
        "rank 0: the disk is full", "what rank 0 throws while it takes a block, all throw");
    check_throws<distributed::rank_error>([&] { ranks.together([] { throw 1; }); },
                                          "rank 0: ", "the lowest of several ranks that fail is named");
}

void a_job_goes_on(const communicator& ranks) {
    const distributed::sample_blocks blocks{.samples = 9, .per_block = 1};
    const distributed::block_checkpoint file{
        .file = std::filesystem::temp_directory_path() /
                ("tweedie_ranks_" + std::to_string(ranks.size()) + ".blocks"),
        .job = "a test"};
    ranks.together([&] {
        if (ranks.root()) { std::filesystem::remove(file.file); }
    });
    std::vector<std::size_t> made;
    const auto run = [&](std::size_t stop) {
        std::vector<std::size_t> taken;
        try {
            distributed::for_each_block<double>(
                ranks, blocks, file,
                [&](std::size_t b) {
                    made.push_back(b);
                    return block(b);
                },
                [&](std::size_t b, std::span<const double> values) {
                    const std::vector<double> alone = block(b);
                    check(std::equal(values.begin(), values.end(), alone.begin(), alone.end()),
                          "a block read from the checkpoint is the block that was made");
                    taken.push_back(b);
                    if (b == stop) { throw std::runtime_error("stopped"); }
                });
        } catch (const distributed::rank_error&) {}
        return taken;
    };
    run(4);
    made.clear();
    const std::vector<std::size_t> taken = run(100);
    std::vector<std::size_t> expected(9);
    std::iota(expected.begin(), expected.end(), std::size_t{0});
    check(taken == (ranks.root() ? expected : std::vector<std::size_t>()),
          "a job that was stopped is taken whole");
    check(std::all_of(made.begin(), made.end(), [](std::size_t b) { return b > 4; }),
          "blocks on disk are not made again");
    check_throws<distributed::rank_error>(
        [&] {
            distributed::for_each_block<double>(
                ranks, {.samples = 9, .per_block = 2}, file, [](std::size_t b) { return block(b); },
                [](std::size_t, std::span<const double>) {});
        },
        "is not of this job", "the checkpoint of samples cut otherwise is refused");
    ranks.together([&] {
        if (ranks.root()) { std::filesystem::remove(file.file); }
    });
}

void moments_of_blocks(const communicator& ranks) {
    const distributed::sample_blocks blocks{.samples = 101, .per_block = 10};
    constexpr Eigen::Index d = 5;
    const auto of_block = [&](std::size_t b) {
        analytic::moments here(d);
        for (std::size_t i = 0; i < blocks.count(b); ++i) { here.add(normals(blocks.first(b) + i, d)); }
        return here;
    };
    analytic::moments all(d);
    distributed::for_each_block<double>(
        ranks, blocks, [&](std::size_t b) { return of_block(b).numbers(); },
        [&](std::size_t, std::span<const double> n) { all.merge(analytic::moments::from_numbers(n)); });
    analytic::moments alone(d);
    for (std::size_t b = 0; b < blocks.size(); ++b) { alone.merge(of_block(b)); }
    if (!ranks.root()) { return; }
    check(all.count() == 101 && all.mean() == alone.mean() && all.covariance() == alone.covariance(),
          "moments merged in the order of blocks are those of one process");
}

void long_messages_arrive(const communicator& ranks) {
    std::vector<double> values;
    if (ranks.root()) { values = normals(3, 100'000); }
    ranks.broadcast(values);
    check(values == normals(3, 100'000), "a broadcast gives every rank what rank 0 has");
    const auto size = static_cast<std::size_t>(ranks.size());
    std::vector<std::vector<double>> parts;
    for (std::size_t r = 0; r < size; ++r) {
        parts.push_back(normals(10 * static_cast<std::size_t>(ranks.rank()) + r, 50'000 * (r % 2)));
    }
    const std::vector<std::vector<double>> received = ranks.exchanged(parts);
    for (std::size_t q = 0; q < size; ++q) {
        const auto rank = static_cast<std::size_t>(ranks.rank());
        check(received[q] == normals(10 * q + rank, 50'000 * (rank % 2)),
              "an exchange reaches the right rank");
    }
}

/// Micro-batches added as the tree of their numbers.
std::vector<double> sum_of(std::size_t first, std::size_t count, std::size_t size,
                           const std::vector<std::vector<double>>& batches) {
    if (count == 1) { return batches[first]; }
    std::size_t left = 1;
    while (2 * left < count) { left *= 2; }
    std::vector<double> sum = sum_of(first, left, size, batches);
    const std::vector<double> right = sum_of(first + left, count - left, size, batches);
    for (std::size_t i = 0; i < size; ++i) { sum[i] += right[i]; }
    return sum;
}

template <class Optimizer>
void a_sharded_step_is_the_step(const communicator& ranks, const Optimizer& optimizer,
                                std::size_t micro_batches, const char* sentence,
                                const std::vector<std::size_t>& sizes = {40'000, 1, 17'000, 64}) {
    const std::size_t total = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
    const auto cut = [&](auto& flat) {
        std::vector<std::span<std::remove_reference_t<decltype(flat[0])>>> out;
        std::size_t at = 0;
        for (const std::size_t n : sizes) {
            out.push_back(std::span(flat).subspan(at, n));
            at += n;
        }
        return out;
    };
    std::vector<double> alone = normals(1, total);
    std::vector<double> shared = alone;
    optim::state<double> whole;
    optim::state<double> shard;
    const auto size = static_cast<std::size_t>(ranks.size());
    const auto rank = static_cast<std::size_t>(ranks.rank());
    const std::size_t begin = micro_batches * rank / size;
    const std::size_t end = micro_batches * (rank + 1) / size;
    for (std::size_t step = 0; step < 5; ++step) {
        std::vector<std::vector<double>> batches;
        for (std::size_t b = 0; b < micro_batches; ++b) {
            batches.push_back(normals(100 + 10 * step + b, total));
        }
        const std::vector<double> sum = sum_of(0, micro_batches, total, batches);
        const optim::step_result expected = optimizer.step(cut(alone), cut(sum), whole);
        std::vector<distributed::gradient_list<double>> mine;
        for (std::size_t b = begin; b < end; ++b) {
            const std::vector<double>& flat = batches[b];
            mine.push_back(cut(flat));
        }
        if (step == 3) {  // saved and cut again, as for another number of ranks
            const optim::state<double> gathered = distributed::gathered_state<double>(ranks, sizes, shard);
            shard = distributed::shard_of(ranks, gathered);
        }
        const optim::step_result result =
            distributed::sharded_step<double>(ranks, optimizer, cut(shared), mine, shard);
        check(result == expected, sentence);
    }
    check(shared == alone, sentence);
    check(distributed::gathered_state<double>(ranks, sizes, shard) == whole, sentence);
    check(shard.values.size() <= whole.values.size() / size + 2 * 16384 * whole.slots,
          "a rank holds its part of the state only");
}

void gradients_that_are_not_finite(const communicator& ranks) {
    std::vector<double> theta = normals(1, 50'000);
    const std::vector<double> before = theta;
    std::vector<double> bad = normals(2, 50'000);
    const bool last = ranks.rank() + 1 == ranks.size();
    if (last) { bad[49'999] = std::numeric_limits<double>::quiet_NaN(); }
    const std::vector<std::span<double>> parameters = {std::span(theta).first(10),
                                                       std::span(theta).subspan(10)};
    const std::vector<distributed::gradient_list<double>> mine = {
        {std::span<const double>(bad).first(10), std::span<const double>(bad).subspan(10)}};
    optim::state<double> shard;
    const optim::step_result result =
        distributed::sharded_step<double>(ranks, optim::adam{}, parameters, mine, shard);
    check(result.status == optim::step_status::gradient_not_finite && result.tensor == 1,
          "a gradient that is not finite on one rank is reported on all");
    check(theta == before && shard.values.empty(), "and nothing was changed");
}

void wrong_use(const communicator& ranks) {
    std::vector<double> theta(10);
    const std::vector<std::span<double>> parameters = {theta};
    optim::state<double> shard;
    check_throws<distributed::rank_error>(
        [&] {
            static_cast<void>(distributed::sharded_step<double>(ranks, optim::adam{}, parameters, {}, shard));
        },
        "need at least one micro-batch", "no micro-batch on any rank is refused");
    const std::vector<double> nine(9);
    const std::vector<distributed::gradient_list<double>> wrong = {{std::span<const double>(nine)}};
    check_throws<distributed::rank_error>(
        [&] {
            static_cast<void>(
                distributed::sharded_step<double>(ranks, optim::adam{}, parameters, wrong, shard));
        },
        "gradients must have the parameters' sizes", "a gradient of another size is refused");
    const std::vector<distributed::gradient_list<double>> right = {{std::span<const double>(theta)}};
    for (const double norm : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
        check_throws<distributed::rank_error>(
            [&] {
                static_cast<void>(distributed::sharded_step<double>(
                    ranks, optim::adam{.clip = {.norm = norm}}, parameters, right, shard));
            },
            "clip.norm", "a norm to clip by that is none is refused");
    }
    check_throws<std::invalid_argument>(
        [&] {
            optim::state<double> other{
                .method = "adam", .slots = 2, .tensors = {{.size = 10}}, .values = {1.0}};
            if (ranks.rank() + 1 < ranks.size()) { other = {}; }
            static_cast<void>(
                distributed::gathered_state<double>(ranks, std::vector<std::size_t>{10}, other));
        },
        "the state is not of these parameters", "a state that lacks its values is refused");
    check_throws<distributed::rank_error>(
        [&] {
            static_cast<void>(distributed::sharded_step<double>(ranks, optim::adam{.learning_rate = -1},
                                                                parameters, right, shard));
        },
        "adam: learning_rate", "options out of range are refused on every rank");
    if (ranks.size() > 1) {
        std::vector<double> more(10 + static_cast<std::size_t>(ranks.rank()));
        const std::vector<std::span<double>> differ = {more};
        check_throws<distributed::rank_error>(
            [&] {
                static_cast<void>(distributed::sharded_step<double>(ranks, optim::adam{}, differ, {}, shard));
            },
            "the ranks must have the same parameters", "parameters that differ between ranks are refused");
    }
}

}  // namespace

int main(int count, char** arguments) {
    bool refused = false;
    try {
        const communicator too_early;
    } catch (const std::invalid_argument&) { refused = true; }
    const distributed::session mpi(count, arguments);
    check(refused, "a communicator before MPI runs is refused");
    const communicator ranks;
    blocks_come_in_order(ranks);
    an_error_reaches_all(ranks);
    a_job_goes_on(ranks);
    moments_of_blocks(ranks);
    long_messages_arrive(ranks);
    a_sharded_step_is_the_step(ranks, optim::adam{.learning_rate = 0.1}, 1,
                               "one micro-batch: Adam's own step");
    a_sharded_step_is_the_step(ranks, optim::adamw{.clip = {.norm = 3, .scale = 0.125}}, 8,
                               "AdamW, eight micro-batches, clipped by their norm");
    a_sharded_step_is_the_step(ranks, optim::dual_adam{.switch_rate = 0.3, .clip = {.norm = 1, .value = 0.1}},
                               7, "DualAdam, seven micro-batches, clipped both ways");
    a_sharded_step_is_the_step(ranks, optim::sgd{.learning_rate = 0.1, .momentum = 0.9}, 5,
                               "SGD, five micro-batches");
    a_sharded_step_is_the_step(ranks, optim::adam{}, 3, "one small tensor: some ranks have no part of it",
                               {9});
    gradients_that_are_not_finite(ranks);
    wrong_use(ranks);
    ranks.together([] {});
    return failures == 0 ? 0 : 1;
}
