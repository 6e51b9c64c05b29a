// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace digits {

/// A bar on stderr, if that is a terminal; nothing otherwise. Gone when it is destroyed.
class progress {
public:
    progress(const char* what, std::size_t total) : what_(what), total_(total), shown_(on_terminal()) {
        draw();
    }
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;
    ~progress() {
        if (shown_) { std::fputs("\r\033[K", stderr); }
    }

    void advance() {
        const std::size_t before = filled();
        ++done_;
        if (filled() != before) { draw(); }
    }

private:
    static constexpr std::size_t width = 40;

    [[nodiscard]] static bool on_terminal() {
#if __has_include(<unistd.h>)
        return isatty(STDERR_FILENO) == 1;
#else
        return false;
#endif
    }

    [[nodiscard]] std::size_t filled() const { return done_ < total_ ? width * done_ / total_ : width; }

    void draw() const {
        if (!shown_) { return; }
        const std::string bar = std::string(filled(), '#') + std::string(width - filled(), '.');
        std::fprintf(stderr, "\r%s [%s] %3zu %%", what_, bar.c_str(), 100 * filled() / width);
        std::fflush(stderr);
    }

    const char* what_;
    std::size_t total_;
    std::size_t done_ = 0;
    bool shown_;
};

}  // namespace digits
