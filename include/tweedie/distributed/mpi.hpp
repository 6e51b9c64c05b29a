// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/distributed/blocks.hpp>

#include <mpi.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::distributed {

/// What every rank throws when one of them failed: "rank 2: " and what that one said.
class rank_error : public std::runtime_error {
public:
    rank_error(int rank, const std::string& what)
        : std::runtime_error("rank " + std::to_string(rank) + ": " + what), rank_(rank) {}

    /// The rank that failed; the lowest of several.
    [[nodiscard]] int rank() const { return rank_; }

private:
    int rank_;
};

/// MPI from here to the end of the scope, for programs that do not start it themselves. Make it the first
/// thing in `main`.
class session {
public:
    session(int& count, char**& arguments) {
        int running = 0;
        MPI_Initialized(&running);
        if (running != 0) { throw std::invalid_argument("session: MPI runs already"); }
        MPI_Init(&count, &arguments);
    }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session() { MPI_Finalize(); }
};

/// The ranks that share the work, with messages of their own.
///
/// Every member function is called by all ranks, in the same order. What one rank throws reaches all of them
/// by `together`, so that none waits for an answer that never comes. Of what one throws elsewhere, and is no
/// `rank_error`, the others do not hear: let it end the process, or call `MPI_Abort`. To return from `main`
/// would be to wait for ranks that wait for this one.
/// - ranks   an MPI communicator; copied (MPI_Comm_dup), so that nothing here mixes with the user's messages.
/// - errors  `std::invalid_argument`: MPI does not run. `std::runtime_error`: an MPI call failed.
class communicator {
public:
    explicit communicator(MPI_Comm ranks = MPI_COMM_WORLD) {
        int running = 0;
        int over = 0;
        MPI_Initialized(&running);
        MPI_Finalized(&over);
        if (running == 0 || over != 0) {
            throw std::invalid_argument("communicator: MPI must run (see session)");
        }
        MPI_Comm own = MPI_COMM_NULL;
        require(MPI_Comm_dup(ranks, &own));
        comm_ = {new MPI_Comm(own), [](MPI_Comm* c) {
                     int ended = 0;
                     MPI_Finalized(&ended);
                     if (ended == 0) { MPI_Comm_free(c); }
                     delete c;
                 }};
        require(MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN));
        require(MPI_Comm_rank(own, &rank_));
        require(MPI_Comm_size(own, &size_));
    }

    [[nodiscard]] int rank() const { return rank_; }
    [[nodiscard]] int size() const { return size_; }
    /// Whether this is rank 0, which collects what the others make.
    [[nodiscard]] bool root() const { return rank_ == 0; }

    /// Does `work()` on every rank; returns when it has succeeded on all.
    /// - errors  `rank_error` on every rank if it threw on one.
    template <std::invocable<> Work>
    void together(Work&& work) const {
        std::optional<std::string> failure;
        try {
            std::forward<Work>(work)();
        } catch (const std::exception& error) { failure = error.what(); } catch (...) {
            failure = "an exception that is no std::exception";
        }
        const int none = std::numeric_limits<int>::max();
        const int mine = failure ? rank_ : none;
        int first = none;
        require(MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, *comm_));
        if (first == none) { return; }
        std::vector<char> text;
        if (failure) { text.assign(failure->begin(), failure->end()); }
        broadcast(text, first);
        throw rank_error(first, std::string(text.begin(), text.end()));
    }

    /// Every rank gets what rank `from` has, of any length.
    template <plain T>
    void broadcast(std::vector<T>& values, int from = 0) const {
        std::uint64_t count = values.size();
        require(MPI_Bcast(&count, 1, MPI_UINT64_T, from, *comm_));
        values.resize(static_cast<std::size_t>(count));
        for_each_message(values.size() * sizeof(T), [&](std::size_t begin, int bytes) {
            require(MPI_Bcast(std::as_writable_bytes(std::span(values)).data() + begin, bytes, MPI_BYTE, from,
                              *comm_));
        });
    }

    /// `to` gets the values of `from`; the other ranks do nothing.
    template <plain T>
    void send(int from, int to, std::span<const T> values) const {
        if (rank_ != from) { return; }
        const std::uint64_t count = values.size();
        require(MPI_Send(&count, 1, MPI_UINT64_T, to, tag, *comm_));
        for_each_message(values.size_bytes(), [&](std::size_t begin, int bytes) {
            require(MPI_Send(std::as_bytes(values).data() + begin, bytes, MPI_BYTE, to, tag, *comm_));
        });
    }
    template <plain T>
    void receive(int from, int to, std::vector<T>& values) const {
        if (rank_ != to) { return; }
        std::uint64_t count = 0;
        require(MPI_Recv(&count, 1, MPI_UINT64_T, from, tag, *comm_, MPI_STATUS_IGNORE));
        values.resize(static_cast<std::size_t>(count));
        for_each_message(values.size() * sizeof(T), [&](std::size_t begin, int bytes) {
            require(MPI_Recv(std::as_writable_bytes(std::span(values)).data() + begin, bytes, MPI_BYTE, from,
                             tag, *comm_, MPI_STATUS_IGNORE));
        });
    }

    /// What every rank has, in the order of ranks, on all of them.
    template <plain T>
    [[nodiscard]] std::vector<T> concatenated(std::span<const T> mine) const {
        std::vector<T> all;
        for (int r = 0; r < size_; ++r) {
            std::vector<T> values;
            if (r == rank_) { values.assign(mine.begin(), mine.end()); }
            broadcast(values, r);
            all.insert(all.end(), values.begin(), values.end());
        }
        return all;
    }

    /// Every rank r gets `parts[r]` of every rank: `received[q]` is what rank q had for this one.
    template <plain T>
    [[nodiscard]] std::vector<std::vector<T>> exchanged(const std::vector<std::vector<T>>& parts) const {
        const auto size = static_cast<std::size_t>(size_);
        if (parts.size() != size) {
            throw std::invalid_argument("communicator: exchanged needs a part for each rank");
        }
        std::vector<std::uint64_t> sent(size);
        std::vector<std::uint64_t> coming(size);
        for (std::size_t r = 0; r < size; ++r) { sent[r] = parts[r].size(); }
        require(MPI_Alltoall(sent.data(), 1, MPI_UINT64_T, coming.data(), 1, MPI_UINT64_T, *comm_));
        std::vector<std::vector<T>> received(size);
        std::vector<MPI_Request> pending;
        for (std::size_t r = 0; r < size; ++r) {
            if (static_cast<int>(r) == rank_) {
                received[r] = parts[r];
                continue;
            }
            received[r].resize(static_cast<std::size_t>(coming[r]));
            for_each_message(received[r].size() * sizeof(T), [&](std::size_t begin, int bytes) {
                require(MPI_Irecv(std::as_writable_bytes(std::span(received[r])).data() + begin, bytes,
                                  MPI_BYTE, static_cast<int>(r), tag, *comm_, &pending.emplace_back()));
            });
            for_each_message(parts[r].size() * sizeof(T), [&](std::size_t begin, int bytes) {
                require(MPI_Isend(std::as_bytes(std::span(parts[r])).data() + begin, bytes, MPI_BYTE,
                                  static_cast<int>(r), tag, *comm_, &pending.emplace_back()));
            });
        }
        require(MPI_Waitall(static_cast<int>(pending.size()), pending.data(), MPI_STATUSES_IGNORE));
        return received;
    }

    /// The MPI communicator, for calls of the user's own.
    [[nodiscard]] MPI_Comm native() const { return *comm_; }

    static void require(int code) {
        if (code == MPI_SUCCESS) { return; }
        char text[MPI_MAX_ERROR_STRING] = {};
        int length = 0;
        MPI_Error_string(code, text, &length);
        throw std::runtime_error("MPI: " + std::string(text, static_cast<std::size_t>(length)));
    }

private:
    static constexpr int tag = 1;

    /// MPI counts in int: what is longer goes in several messages.
    template <class Body>
    static void for_each_message(std::size_t bytes, const Body& body) {
        constexpr std::size_t most = std::size_t{1} << 30;
        for (std::size_t begin = 0; begin < bytes; begin += most) {
            body(begin, static_cast<int>(std::min(most, bytes - begin)));
        }
    }

    std::shared_ptr<MPI_Comm> comm_;
    int rank_ = 0;
    int size_ = 1;
};

/// Where the blocks of a job are kept while it runs; nowhere without a file.
struct block_checkpoint {
    std::filesystem::path file = {};  ///< on rank 0's disk
    std::string job = {};             ///< see `block_file`; how the samples are cut is added to it
};

/// Makes the blocks of a job on all ranks, and hands them over on rank 0, one after the other in the order of
/// their index: what is made of them has the same bits on 1, 2 or 1000 ranks.
///
///     for_each_block<float>(ranks, blocks, {.file = "job.blocks", .job = "digits, seed 7"},
///         [&](std::size_t b) { return pictures_of(b); },                        // on some rank
///         [&](std::size_t b, std::span<const float> values) { keep(values); }); // on rank 0, in order
///
/// Round by round, each rank makes one block; rank 0 writes each round to the checkpoint, then takes it. A
/// job that was killed begins with the blocks that are on disk.
/// - ranks       that share the work.
/// - blocks      of the job; the same on all ranks.
/// - checkpoint  keeps finished blocks.
/// - make        `make(b)` gives the values of block b, a `std::vector<T>`; depends on b alone.
/// - take        `take(b, values)`; called on rank 0 only.
/// - cost        a round lasts as long as its slowest block; every value is sent once.
/// - errors      what `make` or `take` throws on one rank is thrown as `rank_error` on all; blocks taken
///               before are in the checkpoint.
template <plain T, class Make, class Take>
    requires std::invocable<Take&, std::size_t, std::span<const T>>
void for_each_block(const communicator& ranks, const sample_blocks& blocks,
                    const block_checkpoint& checkpoint, Make&& make, Take&& take) {
    std::optional<block_file<T>> done;
    std::vector<std::size_t> begin(1);
    ranks.together([&] {
        if (!ranks.root() || checkpoint.file.empty()) { return; }
        done.emplace(checkpoint.file, checkpoint.job + "\n" + std::to_string(blocks.samples) +
                                          " samples, blocks of " + std::to_string(blocks.per_block));
        begin[0] = std::min(done->size(), blocks.size());
        for (std::size_t b = 0; b < begin[0]; ++b) { take(b, std::span<const T>(done->read(b))); }
    });
    ranks.broadcast(begin);
    const auto size = static_cast<std::size_t>(ranks.size());
    for (std::size_t round = begin[0]; round < blocks.size(); round += size) {
        const std::size_t mine = round + static_cast<std::size_t>(ranks.rank());
        std::vector<T> values;
        ranks.together([&] {
            if (mine < blocks.size()) { values = make(mine); }
        });
        std::exception_ptr failed;  // of rank 0, which receives all blocks before it says so
        for (std::size_t r = 0; r < size && round + r < blocks.size(); ++r) {
            const int from = static_cast<int>(r);
            if (from != 0) {
                ranks.send<T>(from, 0, values);
                ranks.receive<T>(from, 0, values);
            }
            if (!ranks.root() || failed) { continue; }
            try {
                if (done) { done->append(values); }
                take(round + r, std::span<const T>(values));
            } catch (...) { failed = std::current_exception(); }
        }
        ranks.together([&] {
            if (failed) { std::rethrow_exception(failed); }
        });
    }
}

/// The same without a checkpoint.
template <plain T, class Make, class Take>
    requires std::invocable<Take&, std::size_t, std::span<const T>>
void for_each_block(const communicator& ranks, const sample_blocks& blocks, Make&& make, Take&& take) {
    for_each_block<T>(ranks, blocks, block_checkpoint{}, std::forward<Make>(make), std::forward<Take>(take));
}

}  // namespace tweedie::distributed
