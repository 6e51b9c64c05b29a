// SPDX-License-Identifier: MIT

#include <tweedie/distributed/blocks.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using tweedie::distributed::block_file;
using tweedie::distributed::sample_blocks;

namespace {

/// A file of this test's own, which is gone before and after.
struct scratch {
    explicit scratch(const std::string& name)
        : path(std::filesystem::temp_directory_path() / ("tweedie_" + name + ".blocks")) {
        std::filesystem::remove(path);
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() { std::filesystem::remove(path); }
    std::filesystem::path path;
};

const std::vector<float> first = {1, 2, 3};
const std::vector<float> second = {};
const std::vector<float> third = {4, 5, 6, 7};

void write_three(const std::filesystem::path& path) {
    block_file<float> file(path, "three blocks");
    file.append(first);
    file.append(second);
    file.append(third);
}

}  // namespace

TEST_CASE("sample_blocks cuts all samples, each into one block", "[distributed][sample_blocks][exact]") {
    for (const std::size_t samples : {0U, 1U, 9U, 10U, 11U, 100U}) {
        const sample_blocks blocks{.samples = samples, .per_block = 10};
        std::size_t next = 0;
        for (std::size_t b = 0; b < blocks.size(); ++b) {
            CHECK(blocks.first(b) == next);
            CHECK(blocks.count(b) > 0);
            next += blocks.count(b);
        }
        CHECK(next == samples);
    }
    CHECK_THROWS_WITH((sample_blocks{.samples = 3, .per_block = 0}.size()),
                      "sample_blocks: per_block must be > 0");
    CHECK_THROWS_WITH((sample_blocks{.samples = 3, .per_block = 2}.count(2)), "sample_blocks: no such block");
}

TEST_CASE("block_file gives back what was written, to the bit, in another process too",
          "[distributed][block_file][exact]") {
    const scratch file("written");
    write_three(file.path);
    const block_file<float> again(file.path, "three blocks");
    REQUIRE(again.size() == 3);
    CHECK(again.read(0) == first);
    CHECK(again.read(1) == second);
    CHECK(again.read(2) == third);
    CHECK_THROWS_WITH(again.read(3), "block_file: no such block");
}

TEST_CASE("block_file cuts off a block that was not written to its end, wherever it was cut",
          "[distributed][block_file][errors]") {
    const scratch whole("whole");
    write_three(whole.path);
    const std::uintmax_t size = std::filesystem::file_size(whole.path);
    const scratch empty("empty");
    { const block_file<float> made(empty.path, "three blocks"); }
    const std::uintmax_t head = std::filesystem::file_size(empty.path);
    const std::uintmax_t after_first = head + 16 + 12;
    const std::uintmax_t after_second = after_first + 16;
    REQUIRE(size == after_second + 16 + 16);
    for (std::uintmax_t cut = 0; cut <= size; ++cut) {
        const scratch file("cut");
        std::filesystem::copy_file(whole.path, file.path);
        std::filesystem::resize_file(file.path, cut);
        block_file<float> rest(file.path, "three blocks");
        const std::size_t kept = cut >= size ? 3U : cut >= after_second ? 2U : cut >= after_first ? 1U : 0U;
        REQUIRE(rest.size() == kept);
        if (kept == 0) { rest.append(first); }
        if (kept <= 1) { rest.append(second); }
        if (kept <= 2) { rest.append(third); }
        const block_file<float> again(file.path, "three blocks");
        REQUIRE(again.size() == 3);
        REQUIRE(again.read(2) == third);
    }
}

TEST_CASE("block_file drops a damaged block and what follows", "[distributed][block_file][errors]") {
    const scratch file("damaged");
    write_three(file.path);
    {
        std::fstream bytes(file.path, std::ios::binary | std::ios::in | std::ios::out);
        bytes.seekp(-1, std::ios::end);
        bytes.put('x');
    }
    CHECK(block_file<float>(file.path, "three blocks").size() == 2);
}

TEST_CASE("block_file refuses the file of another job or scalar, or what is no such file",
          "[distributed][block_file][errors]") {
    const scratch file("other");
    write_three(file.path);
    const std::string refusal = "block_file: " + file.path.string() + " is not of this job";
    CHECK_THROWS_WITH(block_file<float>(file.path, "another job"), refusal);
    CHECK_THROWS_WITH(block_file<double>(file.path, "three blocks"), refusal);
    CHECK(block_file<float>(file.path, "three blocks").size() == 3);  // untouched
    {
        std::ofstream text(file.path, std::ios::trunc);
        text << "a poem";
    }
    CHECK_THROWS_AS(block_file<float>(file.path, "three blocks"), std::invalid_argument);
    const auto nowhere = std::filesystem::path("/proc/nowhere/x.blocks");
    CHECK_THROWS_AS(block_file<float>(nowhere, "three blocks"), std::runtime_error);
}
