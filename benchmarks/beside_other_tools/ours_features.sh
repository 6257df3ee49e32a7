#!/bin/sh
# Does amazon help a linear classifier of webcam that has three labels a class? With transferscope.
#
# pip install transferscope
# sh ours_features.sh FOLDER
#
# FOLDER holds office_caltech10_surf; my_conf/domain/amazon.yaml and webcam.yaml say how it is read.
# Without a backbone, logistic_regression is that of the labelled target alone; source_svm with
# classifier=logistic is that of source and labelled target together.
task="--config-dir my_conf data_root=$1 target=webcam source=amazon label_budget=3 seed=range(0,5) backbone=identity"
transferscope run -m $task strategy=scratch,logistic_regression,source_only,joint sweep=features
transferscope run -m $task strategy=coral,source_svm 'strategy.classifier=choice(logistic)' sweep=features
transferscope compare runs/sweeps/features
