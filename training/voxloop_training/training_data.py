"""What a run learns from: planned, augmented, collated."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from voxloop_proto.errors import DataError
from voxloop_training.audio_cache import AudioCache, open_cache
from voxloop_training.augmentation import Augmenter
from voxloop_training.augmentation.spec_augment import spec_augment
from voxloop_training.batch import Batch, collate
from voxloop_training.corpus import join_training_cuts, noise_cuts
from voxloop_training.epoch_plan import StepPlan, clips_of, plan_epoch
from voxloop_training.features import Fbank
from voxloop_training.lexicon import phones_of
from voxloop_training.lexicon.phones import PHONES
from voxloop_training.peers import Peers
from voxloop_training.phone_grammar import phone_trigram
from voxloop_training.recipe import Recipe, StageConfig
from voxloop_training.tokens import Tokens


class TrainingData:
    """Clips of a recipe. What a batch holds depends on nothing but the plan and the generator."""

    def __init__(self, recipe: Recipe, root: Path, peers: Peers, tokens: Tokens) -> None:
        self._recipe = recipe
        self._peers = peers
        self.cuts = join_training_cuts(root, recipe.data.train, recipe.data.noise)
        if peers.leads:
            open_cache(self.cuts, recipe.data.cache)
        peers.wait()
        self._cache: AudioCache = open_cache(self.cuts, recipe.data.cache)
        self._clips = clips_of(self.cuts)
        texts = {cut.id: cut.supervisions[0].text or "" for cut in self.cuts}
        self._ids = {clip_id: tokens.to_ids(text) for clip_id, text in texts.items()}
        phones = Tokens.phones()
        self._phone_ids = {clip_id: phones.ids_of(phones_of(text)) for clip_id, text in texts.items()}
        noise_ids = list(noise_cuts(root / recipe.data.noise).ids) if recipe.data.noise else []
        self._augment = Augmenter(recipe.augmentation, noise_ids, self._cache.load)
        self._fbank = Fbank(recipe.model.mel_bins)

    def plan(self, stage: StageConfig, epoch: int) -> list[StepPlan]:
        """All steps of an epoch in one stage."""
        short = [clip for clip in self._clips if clip.duration_s <= stage.longest_s]
        weights, seed = self._recipe.data.weights, self._recipe.loop.seed
        steps = plan_epoch(short, weights, stage.batch_s, self._peers.count, seed, epoch)
        if not steps:
            raise DataError(f"no clip of at most {stage.longest_s} s: nothing to train on in this stage")
        return steps

    def batch(self, clip_ids: tuple[str, ...], augmented: bool, rng: np.random.Generator) -> Batch:
        """Load, augment and collate; a clip that comes out too fast for its text is still used (its loss is zero)."""
        clips = [self._cache.load(clip_id) for clip_id in clip_ids]
        if augmented:
            clips = [self._augment(clip, rng) for clip in clips]
        ids, phone_ids = ([known[clip_id] for clip_id in clip_ids] for known in (self._ids, self._phone_ids))
        batch = collate(clips, ids, phone_ids, self._fbank)
        if not augmented:
            return batch
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        hidden = spec_augment(batch.features, self._recipe.augmentation.spec_augment, generator)
        return replace(batch, features=hidden)

    def phone_trigram(self) -> torch.Tensor:
        """What follows what in the clips' own phones, each set as often as it is seen; see phone_grammar."""
        weights = self._recipe.data.weights
        said = (self._phone_ids[clip.id] for clip in self._clips for _ in range(math.ceil(weights.get(clip.set, 1.0))))
        return phone_trigram(said, len(PHONES))

    def feature_statistics(self, clips: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation per mel bin over a fixed sample of speech, each (F) float32."""
        spoken = [clip.id for clip in self._clips if self._ids[clip.id]]
        rng = np.random.default_rng(0)
        chosen = rng.choice(len(spoken), size=min(clips, len(spoken)), replace=False)
        level = [self._augment.set_level(self._cache.load(spoken[i]), rng) for i in chosen]
        frames = torch.cat([self._fbank(torch.from_numpy(samples)[None])[0] for samples in level])
        return frames.mean(dim=0), frames.std(dim=0)
