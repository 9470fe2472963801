"""Torch's multi-head attention in a form that can lose heads: the same weights, under the same names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention` whose heads need not add up to its width.

    Torch's own takes the width for that of all heads together, and multiplies with the weights of ``out_proj`` without
    calling it, so that nothing can see what goes in there.
    """

    @property
    def _qkv_same_embed_dim(self) -> bool:
        """Said to be not so, which keeps `torch.nn.TransformerEncoderLayer` from computing it all by itself."""
        return False

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `torch.nn.MultiheadAttention.forward`; ``is_causal`` is a hint that is not needed."""
        batched = query.dim() == 3
        if not batched:
            query, key, value = (one.unsqueeze(0) for one in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (one.transpose(0, 1) for one in (query, key, value))
        queries, keys, values = (
            torch.unflatten(F.linear(one, weight, bias), 2, (self.num_heads, self.head_dim)).transpose(1, 2)
            for one, (weight, bias) in zip((query, key, value), self._projections(), strict=True)
        )  # [batch, heads, length, size]
        mask = _added(key_padding_mask, attn_mask, queries)
        dropout = self.dropout if self.training else 0.0
        shares = None
        if need_weights:
            scores = queries @ keys.transpose(2, 3) * self.head_dim**-0.5
            shares = (scores if mask is None else scores + mask).softmax(3)
            mixed = F.dropout(shares, dropout) @ values
            shares = shares.mean(1) if average_attn_weights else shares
        else:
            mixed = F.scaled_dot_product_attention(queries, keys, values, mask, dropout)
        output: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if not batched:
            return output[0], None if shares is None else shares[0]
        return output if self.batch_first else output.transpose(0, 1), shares

    def _reset_parameters(self) -> None:
        """New first weights, as torch's own has them."""
        for weight, bias in self._projections():
            nn.init.xavier_uniform_(weight)
            if bias is not None:
                nn.init.zeros_(bias)

    def _projections(self) -> list[tuple[Tensor, Tensor | None]]:
        """Weights and biases of queries, keys and values."""
        joined, bias = self._parameters["in_proj_weight"], self._parameters["in_proj_bias"]
        apart = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = apart if joined is None else joined.chunk(3)
        return list(zip(weights, (None,) * 3 if bias is None else bias.chunk(3), strict=True))

    def head_positions(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """For each tensor the positions along axis 0 that belong to each head."""
        inner = self.num_heads * self.head_dim

        def rows(copies: int) -> tuple[tuple[int, ...], ...]:
            return tuple(
                tuple(copy * inner + place for copy in range(copies) for place in range(start, start + self.head_dim))
                for start in range(0, inner, self.head_dim)
            )

        copies = {"in_proj_weight": 3, "in_proj_bias": 3, "q_proj_weight": 1, "k_proj_weight": 1, "v_proj_weight": 1}
        return {name: rows(count) for name, count in copies.items() if getattr(self, name, None) is not None}


def open_attention_(network: nn.Module) -> nn.Module:
    """Let the heads of torch's attention be seen and removed, in place: it computes the same, from the same weights.

    Attention that adds keys and values of its own stays as it is.

    Args:
        network: Any module.

    Returns:
        The network.

    Example:
        >>> network = open_attention_(nn.TransformerEncoderLayer(4, 2, batch_first=True))
        >>> type(network.self_attn).__name__
        'Attention'
    """
    for layer in network.modules():
        if type(layer) is nn.MultiheadAttention and layer.bias_k is None and not layer.add_zero_attn:
            layer.__class__ = Attention
        elif isinstance(layer, nn.TransformerEncoder):
            layer.use_nested_tensor = False  # which its layers would have to take
    return network


def _added(padding: Tensor | None, mask: Tensor | None, like: Tensor) -> Tensor | None:
    """What is added to scores ``[batch, heads, length, length]``: minus infinity where nothing is to be seen."""
    total = None
    if padding is not None:
        total = _as_scores(padding, like)[:, None, None, :]
    if mask is not None:
        scores = _as_scores(mask, like)
        if scores.dim() == 3:  # of batch times heads
            scores = torch.unflatten(scores, 0, (like.shape[0], -1))
        total = scores if total is None else total + scores
    return total


def _as_scores(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, float("-inf"))
