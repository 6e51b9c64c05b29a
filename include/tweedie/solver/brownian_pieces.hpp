// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/loop.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tweedie::solver {

/// One Brownian path, looked at ahead of time by steps that may be rejected.
///
/// A rejected step has seen the path's increment; drawing a fresh one for the shorter step that follows would
/// prefer the increments that are easy to accept, and change the law. Here the shorter step gets its part of
/// the very increment, by a Brownian bridge, and the rest is kept for later:
///
///     W(a, m) = (m - a)/(b - a) W(a, b) + sqrt((m - a)(b - m)/(b - a)) z,      W(m, b) = W(a, b) - W(a, m)
///
/// A piece of the path is a few weights over numbered draws, which are made again whenever it is needed; a
/// piece that has been cut often is written to a register. Source: the idea is that of Rackauckas and Nie
/// 2017, Adaptive methods for stochastic differential equations via natural embeddings and rejection sampling
/// with memory.
/// - random  one draw per piece of path that was never looked at, one per bridge.
/// - memory  `slots` registers. Of more pieces ahead than that (nested rejections over many steps), the
///           farthest are joined: their common increment is kept, the point between them forgotten.
class brownian_pieces {
public:
    static constexpr std::size_t slots = 3;

    /// - `now`         where the path begins, in its own clock: an increment over [a, b] has variance b - a.
    /// - `first_slot`  the first of its registers.
    /// - `first_draw`  the first of its draws.
    explicit brownian_pieces(double now = 0.0, std::size_t first_slot = 0, std::uint32_t first_draw = 0)
        : now_(now), first_slot_(first_slot), next_draw_(first_draw) {}

    /// The increment from now to `to` > now.
    /// - `known`  set to false, and nothing usable returned, when more steps in a row were rejected than one
    ///            pass can read draws.
    [[nodiscard]] combination increment(turn& p, double to, bool& known) {
        known = true;
        double begin = now_;
        std::size_t n = 0;
        for (; n < count_ && pieces_[n].end < to; ++n) { begin = pieces_[n].end; }
        if (n == count_) {
            known = add(n, to, std::sqrt(to - begin));
        } else if (pieces_[n].end > to) {
            known = cut(n, begin, to);
        }
        combination sum;
        if (!known) { return sum; }
        for (std::size_t d = 0; d < draws_; ++d) {
            double weight = 0.0;
            for (std::size_t i = 0; i <= n; ++i) { weight += pieces_[i].weights[d]; }
            if (weight != 0.0) { sum += weight * p.noise(number_[d]); }
        }
        for (std::size_t i = 0; i <= n; ++i) { sum += kept(p, pieces_[i]); }
        return sum;
    }

    /// The step to `to`, whose increment was asked for, is accepted: what lies behind is forgotten, and room
    /// is made in this turn's registers where it gets narrow.
    void pass(turn& p, double to) {
        std::size_t gone = 0;
        while (gone < count_ && pieces_[gone].end <= to) { ++gone; }
        for (std::size_t i = gone; i < count_; ++i) { pieces_[i - gone] = pieces_[i]; }
        count_ -= gone;
        now_ = to;
        // draws that no piece needs any more
        std::size_t remaining = 0;
        for (std::size_t d = 0; d < draws_; ++d) {
            bool used = false;
            for (std::size_t i = 0; i < count_; ++i) { used = used || pieces_[i].weights[d] != 0.0; }
            if (!used) { continue; }
            number_[remaining] = number_[d];
            for (std::size_t i = 0; i < count_; ++i) {
                pieces_[i].weights[remaining] = pieces_[i].weights[d];
            }
            ++remaining;
        }
        for (std::size_t i = 0; i < count_; ++i) {
            for (std::size_t d = remaining; d < draws_; ++d) { pieces_[i].weights[d] = 0.0; }
        }
        draws_ = remaining;
        if (draws_ > most / 2) { write_down(p); }
    }

private:
    static constexpr std::size_t most = combination::draws;

    /// An increment from the end of the piece before: draws, and what the slots hold.
    struct piece {
        double end = 0.0;
        std::array<double, most> weights{};
        std::array<double, slots> held{};
    };

    [[nodiscard]] combination kept(const turn& p, const piece& part) const {
        combination sum;
        for (std::size_t k = 0; k < slots; ++k) {
            if (part.held[k] != 0.0) { sum += part.held[k] * p(first_slot_ + k); }
        }
        return sum;
    }

    /// Every piece becomes a register.
    void write_down(turn& p) {
        while (count_ > slots) {
            piece& into = pieces_[count_ - 2];
            const piece& last = pieces_[count_ - 1];
            into.end = last.end;
            for (std::size_t d = 0; d < draws_; ++d) { into.weights[d] += last.weights[d]; }
            for (std::size_t k = 0; k < slots; ++k) { into.held[k] += last.held[k]; }
            --count_;
        }
        for (std::size_t i = 0; i < count_; ++i) {
            combination value = kept(p, pieces_[i]);
            for (std::size_t d = 0; d < draws_; ++d) {
                if (pieces_[i].weights[d] != 0.0) { value += pieces_[i].weights[d] * p.noise(number_[d]); }
            }
            p.set(first_slot_ + i, value);
        }
        for (std::size_t i = 0; i < count_; ++i) {
            pieces_[i].weights = {};
            pieces_[i].held = {};
            pieces_[i].held[i] = 1.0;
        }
        draws_ = 0;
    }

    /// A piece beyond all others, of a draw of its own.
    bool add(std::size_t n, double to, double size) {
        if (count_ == most || draws_ == most) { return false; }
        pieces_[n] = {to, {}, {}};
        pieces_[n].weights[draws_] = size;
        number_[draws_++] = next_draw_++;
        ++count_;
        return true;
    }

    /// Piece `n`, which begins at `begin`, becomes two that meet at `middle`.
    bool cut(std::size_t n, double begin, double middle) {
        if (count_ == most || draws_ == most) { return false; }
        for (std::size_t i = count_; i > n; --i) { pieces_[i] = pieces_[i - 1]; }
        ++count_;
        const double end = pieces_[n + 1].end;
        const double part = (middle - begin) / (end - begin);
        const double spread = std::sqrt((middle - begin) * (1.0 - part));
        pieces_[n].end = middle;
        for (std::size_t d = 0; d < draws_; ++d) {
            pieces_[n].weights[d] = part * pieces_[n + 1].weights[d];
            pieces_[n + 1].weights[d] -= pieces_[n].weights[d];
        }
        for (std::size_t k = 0; k < slots; ++k) {
            pieces_[n].held[k] = part * pieces_[n + 1].held[k];
            pieces_[n + 1].held[k] -= pieces_[n].held[k];
        }
        pieces_[n].weights[draws_] = spread;
        pieces_[n + 1].weights[draws_] = -spread;
        number_[draws_++] = next_draw_++;
        return true;
    }

    double now_;
    std::size_t first_slot_;
    std::size_t count_ = 0;
    std::array<piece, most> pieces_{};
    std::size_t draws_ = 0;
    std::array<std::uint32_t, most> number_{};
    std::uint32_t next_draw_;
};

}  // namespace tweedie::solver
