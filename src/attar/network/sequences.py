"""Networks on sequences of tokens, as `attar.network.architectures` builds them from checked arguments."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TokenMean(nn.Module):
    """See `attar.network.architectures.token_mean`."""

    def __init__(self, vocabulary: int, outputs: int, width: int, hidden: int, window: int, dropout: float) -> None:
        """Make the network; the arguments are those of the function."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.windows = nn.Conv1d(width, hidden, window, padding=window // 2)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """``[batch, outputs]`` of tokens ``[batch, length]`` and their mask."""
        counts = mask.unsqueeze(1).float()  # [batch, 1, length]
        seen = torch.relu(self.windows(self.embedding(ids).transpose(1, 2) * counts)) * counts
        output: Tensor = self.output(self.dropout(seen.sum(2) / counts.sum(2)))
        return output


class TokenEncoder(nn.Module):
    """See `attar.network.architectures.token_encoder`."""

    def __init__(
        self, vocabulary: int, length: int, outputs: int, width: int, heads: int, blocks: int, dropout: float
    ) -> None:
        """Make the network; the arguments are those of the function."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(length, width))
        self.blocks = nn.ModuleList(AttentionBlock(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, outputs)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """``[batch, outputs]`` of tokens ``[batch, length]`` and their mask."""
        counts = mask.unsqueeze(2).float()  # [batch, length, 1]
        # Padding is zero from here on, so that nothing depends on which tokens stand there.
        seen = (self.embedding(ids) + self.positions) * counts
        for block in self.blocks:
            seen = block(seen, counts)
        output: Tensor = self.output((self.norm(seen) * counts).sum(1) / counts.sum(1))
        return output


class AttentionBlock(nn.Module):
    """Self-attention and a perceptron, each added to what comes in."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Make the block.

        Args:
            width: Numbers per position, a multiple of ``heads``.
            heads: How many attentions it has.
            dropout: Probability of dropping a number that it adds.
        """
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.norm, self.inner_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Tensor, counts: Tensor) -> Tensor:
        """``[batch, length, width]`` to the same; ``counts`` ``[batch, length, 1]`` is 0 at padding."""
        stacked = self.queries_keys_values(self.norm(seen)).unflatten(2, (3, self.heads, self.size))
        queries, keys, values = (one.transpose(1, 2) for one in stacked.unbind(2))  # [batch, heads, length, size]
        shares = (queries @ keys.transpose(2, 3) * self.size**-0.5).softmax(3)
        # Not by minus infinity, which no range of eight bits holds.
        shares = shares * counts.transpose(1, 2).unsqueeze(1)
        shares = shares / (shares.sum(3, keepdim=True) + 1e-9)
        mixed = self.mixed((shares @ values).transpose(1, 2).flatten(2))
        seen = seen + self.dropout(mixed) * counts
        added: Tensor = self.dropout(self.inner(self.inner_norm(seen)))
        return seen + added * counts
