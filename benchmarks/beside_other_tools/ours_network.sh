#!/bin/sh
# Does amazon help a network for webcam that has three labels a class? With transferscope.
#
# pip install transferscope
# sh ours_network.sh FOLDER
#
# FOLDER holds office_caltech10_surf; my_conf/domain/amazon.yaml and webcam.yaml say how it is read.
transferscope run -m --config-dir my_conf data_root="$1" target=webcam source=amazon label_budget=3 'seed=range(0,5)' \
    backbone=mlp strategy=scratch,source_only,fine_tuning,joint sweep=network
transferscope compare runs/sweeps/network
