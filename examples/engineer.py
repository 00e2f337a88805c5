# %% [markdown]
# # The first ten minutes of an engineer
#
# A folder of good pictures, some pictures of defects: which defects would be found?
#
# This is a notebook in the percent format: VS Code opens it as it is, JupyterLab with jupytext, and
# `python examples/engineer.py` runs it.

# %% [markdown]
# ## Pictures
#
# The toy dataset stands for your folder: `good/` for training, `bad/<type of defect>/` for the test.

# %%
import shutil
from pathlib import Path

import adframe
from adframe.toy.layouts import write_toy

SIZE = {"image_size": 128, "train": 30, "validation": 2, "test_good": 6, "test_bad": 6}
write_toy(Path("toy"), categories=("bracket",), **SIZE)
shutil.copytree("toy/bracket/train/good", "parts/good", dirs_exist_ok=True)
shutil.copytree("toy/bracket/test", "parts/bad", ignore=shutil.ignore_patterns("good"), dirs_exist_ok=True)

# %% [markdown]
# ## Fit, calibrate, test
#
# `adframe.train` takes the overrides of `python train.py`. Defects are used for nothing but the test.

# %%
run = adframe.train(
    "dataset=folder", "dataset.root=parts", "dataset.normal=good", "dataset.abnormal=bad",
    "image_size=128", "num_workers=0", "logger=none", "paths.run=runs/parts",
)  # fmt: skip
print("report:", run.path / "report.html")

# %% [markdown]
# ## What the numbers say
#
# The intervals show how little six good pictures and six defects can prove.

# %%
for metric in ("image/auroc", "image/recall", "image/fpr"):
    low, high = run.intervals["parts"][metric]
    print(f"{metric} {run.test['parts'][metric]:.3f}, 95 % interval {low:.3f} to {high:.3f}")

# %% [markdown]
# ## New pictures
#
# `adframe.load` needs neither the pictures of the training nor their folder.

# %%
detector = adframe.load("runs/parts")
for picture in detector.predict("toy/bracket/test/scratch"):
    print(picture.name, "anomalous" if picture.anomalous else "normal", round(picture.score, 2))
