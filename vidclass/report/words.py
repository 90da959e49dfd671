"""The words of the page, in one line each."""

__all__ = ["FLOORS_EXPLAINED", "GLOSSARY"]

FLOORS_EXPLAINED = {
    "majority": "always names the most frequent class of what it is fitted on; of several classes, "
    "each with its share",
    "metadata": "sees width, height, duration, frame count, rate and bitrate; no pixel",
    "middle_frame": "frozen features of the window's middle frame, logistic regression",
    "bag_of_frames": "mean and spread of frozen features over the window's frames, logistic "
    "regression; knows no order of frames",
    "bag_with_differences": "the same and the size of change between neighbouring frames; knows "
    "speed, not direction",
}
"""What each floor sees."""

GLOSSARY = {
    "arm": "one side of the comparison: an architecture with what is searched in it",
    "floor": "a simple score that needs no architecture; no arm is good unless it beats the best",
    "chance": "what naming the most frequent class of the test set scores (macro F1: 1 / classes)",
    "group": "what is independent: a recording, an animal, a source film; never cut by a split",
    "fold": "one division of all videos; with several, every video is tested exactly once",
    "validation": "videos that choose checkpoints, winners and the champion; never the test set",
    "test": "videos that tuning never sees, scored once by each final and control",
    "final": "the winner of an arm trained again on a fresh seed and scored on test",
    "control": "the same training with shuffled frames, for the value of time",
    "95 % interval": "Korn-Graubard: exact binomial with the effective number of groups",
    "paired difference": "one score minus another on the same test set; groups and seeds vary",
    "Holm's p": "the p value after correction for all comparisons that were declared beforehand",
    "value of time": "an arm minus the same arm trained and tested on shuffled frames",
    "macro F1": "mean over classes of the harmonic mean of precision and recall",
    "clip and video level": "a clip is one window; a video's answer is the mean of its clips",
    "GMACs": "10^9 multiply-accumulates a clip, as published; PyTorch's counter prints twice that",
    "data wait": "share of a training's time in which no step ran because clips were being read",
    "collapse": "macro recall and AUC both at chance after warm-up; a result, not an accident",
    "average precision": "mean precision over the ranks at which a class is found; needs no "
    "threshold, and is the class's share for a random order",
    "exact match": "share of the answers in which every class is right",
    "quarantined": "a video that could not be read, left out with its reason",
}
