// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::distributed {

/// A number something can be written to a file as, or sent to another rank: plain data.
template <class T>
concept plain = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>;

/// Work on many samples, cut into blocks by their index alone: whoever does which block, a block is the same.
///
///     const sample_blocks blocks{.samples = 50'000, .per_block = 256};
///     noise{.seed = 7, .sample = blocks.first(b)}, blocks.count(b) samples
///
/// - samples    how many there are.
/// - per_block  in each block but the last; > 0. Part of the result where sums over blocks are taken: another
///              number rounds otherwise.
struct sample_blocks {
    std::size_t samples = 0;
    std::size_t per_block = 1;

    [[nodiscard]] std::size_t size() const {
        if (per_block == 0) { throw std::invalid_argument("sample_blocks: per_block must be > 0"); }
        return samples / per_block + (samples % per_block != 0 ? 1 : 0);
    }
    /// Index of the first sample of block `b`.
    [[nodiscard]] std::size_t first(std::size_t b) const {
        if (!(b < size())) { throw std::invalid_argument("sample_blocks: no such block"); }
        return b * per_block;
    }
    /// How many samples block `b` has.
    [[nodiscard]] std::size_t count(std::size_t b) const { return std::min(per_block, samples - first(b)); }
};

/// The finished blocks of a job on disk, in order: what a killed run leaves is where the next one goes on.
///
///     block_file<float> done("job.blocks", "digits, seed 7, unipc 10");
///     for (std::size_t b = 0; b < done.size(); ++b) { take(done.read(b)); }
///     done.append(values);                              // block done.size()
///
/// Every block carries its length and a checksum. A block that was not written to its end is cut off when the
/// file is opened, so that at most the blocks under way are lost.
/// - file    made where it does not exist, with its folder.
/// - job     everything the blocks depend on, in words of the user's; a file of another job is refused.
/// - errors  `std::invalid_argument`: a file of another job or kind. `std::runtime_error`: the file cannot be
///           read or written.
template <plain T>
class block_file {
public:
    block_file(std::filesystem::path file, std::string job) : file_(std::move(file)) {
        const std::string head = header(job);
        std::error_code ignored;
        if (file_.has_parent_path()) { std::filesystem::create_directories(file_.parent_path(), ignored); }
        std::uintmax_t size = std::filesystem::file_size(file_, ignored);
        if (ignored) { size = 0; }
        std::ifstream in(file_, std::ios::binary);
        std::string found(static_cast<std::size_t>(std::min<std::uintmax_t>(size, head.size())), '\0');
        in.read(found.data(), static_cast<std::streamsize>(found.size()));
        if (found != head.substr(0, found.size())) {
            throw std::invalid_argument("block_file: " + file_.string() + " is not of this job");
        }
        if (found.size() < head.size()) {  // new, or killed before its first block
            std::ofstream out(file_, std::ios::binary | std::ios::trunc);
            out.write(head.data(), static_cast<std::streamsize>(head.size()));
            require(out.flush().good());
            size = head.size();
        } else {
            std::uintmax_t end = head.size();
            record at;
            while (end < size && find(in, end, size, at)) {
                records_.push_back(at);
                end = at.begin + at.count * sizeof(T);
            }
            if (end < size) {
                in.close();
                std::filesystem::resize_file(file_, end);
            }
        }
    }

    /// Finished blocks.
    [[nodiscard]] std::size_t size() const { return records_.size(); }

    /// The values of block `b`, which is finished.
    [[nodiscard]] std::vector<T> read(std::size_t b) const {
        if (!(b < size())) { throw std::invalid_argument("block_file: no such block"); }
        std::ifstream in(file_, std::ios::binary);
        in.seekg(static_cast<std::streamoff>(records_[b].begin));
        std::vector<T> values(records_[b].count);
        read(in, std::span<T>(values));
        require(in.good());
        return values;
    }

    /// Writes the next block, and has the system take it before it returns.
    void append(std::span<const T> values) {
        const std::array<std::uint64_t, 2> head = {values.size(), checksum(values)};
        std::ofstream out(file_, std::ios::binary | std::ios::app);
        out.seekp(0, std::ios::end);
        const auto begin = static_cast<std::uintmax_t>(out.tellp()) + sizeof(head);
        write(out, std::span<const std::uint64_t>(head));
        write(out, values);
        if (!out.flush().good()) {  // what was written of it must not stand before the next one
            out.close();
            std::error_code ignored;
            std::filesystem::resize_file(file_, begin - sizeof(head), ignored);
            require(false);
        }
        records_.push_back({begin, values.size()});
    }

private:
    struct record {
        std::uintmax_t begin = 0;  // of its values in the file
        std::size_t count = 0;
    };

    [[nodiscard]] static std::string header(const std::string& job) {
        return "tweedie blocks 1, " + std::to_string(sizeof(T)) + " bytes a value\n" +
               std::to_string(job.size()) + "\n" + job + "\n";
    }

    /// FNV-1a over the bytes.
    [[nodiscard]] static std::uint64_t checksum(std::span<const T> values) {
        std::uint64_t hash = 0xcbf29ce484222325U;
        for (const std::byte b : std::as_bytes(values)) {
            hash = (hash ^ static_cast<std::uint64_t>(b)) * 0x100000001b3U;
        }
        return hash;
    }

    template <class U>
    static void write(std::ofstream& out, std::span<const U> values) {
        if (values.empty()) { return; }
        out.write(reinterpret_cast<const char*>(values.data()),  // NOLINT: streams take characters
                  static_cast<std::streamsize>(values.size_bytes()));
    }
    template <class U>
    static void read(std::ifstream& in, std::span<U> values) {
        if (values.empty()) { return; }
        in.read(reinterpret_cast<char*>(values.data()),  // NOLINT: as above
                static_cast<std::streamsize>(values.size_bytes()));
    }

    /// The block whose head is at `from`, if it was written to its end.
    static bool find(std::ifstream& in, std::uintmax_t from, std::uintmax_t size, record& found) {
        std::array<std::uint64_t, 2> head{};
        if (size - from < sizeof(head)) { return false; }
        in.seekg(static_cast<std::streamoff>(from));
        read(in, std::span<std::uint64_t>(head));
        if (!in.good() || head[0] > (size - from - sizeof(head)) / sizeof(T)) { return false; }
        std::vector<T> values(static_cast<std::size_t>(head[0]));
        read(in, std::span<T>(values));
        found = {from + sizeof(head), values.size()};
        return in.good() && checksum(values) == head[1];
    }

    void require(bool good) const {
        if (!good) { throw std::runtime_error("block_file: cannot read or write " + file_.string()); }
    }

    std::filesystem::path file_;
    std::vector<record> records_;
};

}  // namespace tweedie::distributed
