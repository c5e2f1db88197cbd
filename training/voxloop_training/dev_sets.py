"""The sets that a run is judged by while it trains."""

from collections.abc import Mapping
from pathlib import Path

from lhotse import CutSet

from voxloop_proto.scoring import Score, score
from voxloop_training.audio_cache import AudioCache, open_cache
from voxloop_training.batch import collate
from voxloop_training.corpus import dev_cuts
from voxloop_training.ctc import greedy_ids
from voxloop_training.epoch_plan import clips_of, plan_epoch
from voxloop_training.features import Fbank
from voxloop_training.lexicon import phones_of
from voxloop_training.model import ConformerCtc
from voxloop_training.peers import Peers
from voxloop_training.tokens import Tokens

_BATCH_S = 40.0


class DevSet:
    """Clips, references and decoded audio of one set."""

    def __init__(self, manifest: Path, cache: Path) -> None:
        self.cuts: CutSet = dev_cuts(manifest).to_eager()
        self.name = manifest.parent.name
        self._audio: AudioCache = open_cache(self.cuts, cache)
        self._texts = {cut.id: cut.supervisions[0].text or "" for cut in self.cuts}

    def read(self, model: ConformerCtc, peers: Peers, chunk_frames: int) -> Score:
        """Best paths of the set, each peer its share, scored without a grammar; level and silence stay as recorded.

        With phones, the "words" of the score are phones.
        """
        tokens = Tokens.phones() if model.config.phones else Tokens.characters()
        fbank = Fbank(model.config.mel_bins)
        heard: dict[str, str] = {}
        for step in plan_epoch(clips_of(self.cuts), {}, _BATCH_S, 1, seed=0, epoch=0)[peers.rank :: peers.count]:
            clips = [self._audio.load(clip_id) for clip_id in step[0]]
            batch = collate(clips, [[] for _ in clips], [[] for _ in clips], fbank)
            for clip_id, ids in zip(step[0], greedy_ids(model, batch, chunk_frames), strict=True):
                heard[clip_id] = tokens.to_text(tokens.collapse(ids))
        together = {key: text for part in peers.gather(heard) for key, text in part.items()}
        said = [" ".join(phones_of(self._texts[key])) if model.config.phones else self._texts[key] for key in together]
        return score(said, list(together.values()))


def read_all(sets: list[DevSet], model: ConformerCtc, peers: Peers, chunk_frames: int) -> Mapping[str, Score]:
    """Scores by set name."""
    model.eval()
    scores = {dev.name: dev.read(model, peers, chunk_frames) for dev in sets}
    model.train()
    return scores
