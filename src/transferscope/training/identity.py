"""By what name a class is known in fingerprints: moving a file trains no finished run again, changing a class
of one's own does."""

import hashlib
import inspect
import sys
import sysconfig
from functools import cache
from pathlib import Path

OURS = "transferscope"
# The file and class of each name when stores first held runs of it, and so in their keys, wherever the file
# lies now. A later one is known by its class name alone.
FIRST_SEEN = {
    "strategies": """
        aad.AaD adaptive_bn.AdaptiveBN adda.ADDA afn.AFN bnm.BNM bss.BSS cdan.CDAN co_tuning.CoTuning
        consistency.Consistency coral.CORAL dan.DAN dann.DANN deep_coral.DeepCORAL deep_jdot.DeepJDOT
        delta.DELTA discriminative.Discriminative discriminative.LayerDecay
        feature_extraction.FeatureExtraction fine_tuning.FineTuning gated_dann.GatedDANN
        gfk.GeodesicFlowKernel gradual_unfreezing.GradualUnfreezing group_dro.GroupDRO
        instance_weights.InstanceWeights iwdan.IWDAN jan.JAN jda.JDA joint.Joint kmm.KernelMeanMatching
        l2_sp.L2SP label_shift.LabelShift linear_svm.LinearSVM logistic_regression.LogisticRegression
        lora.LoRA lp_ft.LPFT m3sda.M3SDA mcc.MCC mcd.MCD mdd.MDD minimum_entropy.MinimumEntropy
        mixstyle.MixStyle mme.MME multi_task.MultiTask multi_task.PCGrad multi_task.UncertaintyWeighted
        nearest_mean.NearestMean nearest_neighbour.NearestNeighbour
        optimal_transport.LinearOptimalTransport optimal_transport.OptimalTransport pada.PADA
        partial_fine_tuning.BiasOnly partial_fine_tuning.LastGroups partial_fine_tuning.NormOnly pca.PCA
        safe_choice.SafeChoice sar.SAR shot.SHOT source_classifier.SourceClassifier source_only.SourceOnly
        subspace_alignment.SubspaceAlignment target_only.TargetOnly target_ssl.TargetSSL tca.TCA tent.Tent
        wise_ft.WiSEFT
    """,
    "backbones": """
        identity.Identity lenet.LeNet mlp.MLP shallow_conv.ShallowConv small_cnn.SmallCNN timm.Timm
    """,
}
_KEYS = {
    name.rpartition(".")[2]: f"{OURS}.{folder}.{name}"
    for folder, names in FIRST_SEEN.items()
    for name in names.split()
}


@cache
def identity(kind: type) -> tuple[str, str | None]:
    """(name, hash of the source): the project's own classes say by their `version` when their results change
    and have no hash. For any other class its file counts, and the files of its bases that are in no installed
    package."""
    if _package(kind) == OURS:
        return _KEYS.get(kind.__name__, kind.__name__), None
    files = dict.fromkeys(
        inspect.getfile(base) for base in kind.__mro__ if base is kind or not _is_installed(base)
    )
    return kind.__name__, hashlib.blake2b(
        b"".join(Path(file).read_bytes() for file in files), digest_size=8
    ).hexdigest()


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _is_installed(kind: type) -> bool:
    package = _package(kind)
    return package in (OURS, *sys.stdlib_module_names) or Path(inspect.getfile(kind)).is_relative_to(
        sysconfig.get_path("purelib")
    )
