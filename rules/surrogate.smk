"""The surrogate machine: the same rules and programs for every study, right of the ground-truth file."""


rule train_surrogate:
    input:
        config=result("{study}", "config", "train_surrogate.yaml"),
        dataset=result("{study}", "ground_truth.h5"),
    output:
        models=result("{study}", "surrogate", "models.h5"),
        record=result("{study}", "surrogate", "models.h5.prov.json"),
    log:
        log_file("{study}", "train_surrogate"),
    benchmark:
        benchmark_file("{study}", "train_surrogate")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("{study}.train_surrogate"),
        runtime=run_time("{study}.train_surrogate"),
    params:
        code=lambda wildcards: present_code("train_surrogate", wildcards.study),
    message:
        "Training the ensemble of {wildcards.study}"
    shell:
        "python scripts/train_surrogate.py --study {wildcards.study} --code {params.code} "
        "--device {resources.device} --config {input.config} --dataset {input.dataset} --models {output.models} "
        "2>&1 | tee {log}"


rule cross_validate_surrogate:
    input:
        config=result("{study}", "config", "cross_validate_surrogate.yaml"),
        dataset=result("{study}", "ground_truth.h5"),
    output:
        folds=result("{study}", "surrogate", "cross_validation.h5"),
        record=result("{study}", "surrogate", "cross_validation.h5.prov.json"),
    log:
        log_file("{study}", "cross_validate_surrogate"),
    benchmark:
        benchmark_file("{study}", "cross_validate_surrogate")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("{study}.cross_validate_surrogate"),
        runtime=run_time("{study}.cross_validate_surrogate"),
    params:
        code=lambda wildcards: present_code("cross_validate_surrogate", wildcards.study),
    message:
        "Cross-validating the surrogate of {wildcards.study}, random and grouped folds"
    shell:
        "python scripts/cross_validate_surrogate.py --study {wildcards.study} --code {params.code} "
        "--device {resources.device} --config {input.config} --dataset {input.dataset} --folds {output.folds} "
        "2>&1 | tee {log}"


rule measure_learning_curve:
    input:
        config=result("{study}", "config", "measure_learning_curve.yaml"),
        dataset=result("{study}", "ground_truth.h5"),
    output:
        curve=result("{study}", "surrogate", "learning_curve.json"),
        record=result("{study}", "surrogate", "learning_curve.json.prov.json"),
    log:
        log_file("{study}", "measure_learning_curve"),
    benchmark:
        benchmark_file("{study}", "measure_learning_curve")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("{study}.measure_learning_curve"),
        runtime=run_time("{study}.measure_learning_curve"),
    params:
        code=lambda wildcards: present_code("measure_learning_curve", wildcards.study),
    message:
        "Measuring the learning curve of {wildcards.study}"
    shell:
        "python scripts/measure_learning_curve.py --study {wildcards.study} --code {params.code} "
        "--device {resources.device} --config {input.config} --dataset {input.dataset} --curve {output.curve} "
        "2>&1 | tee {log}"


rule evaluate_surrogate:
    input:
        config=result("{study}", "config", "evaluate_surrogate.yaml"),
        dataset=result("{study}", "ground_truth.h5"),
        models=result("{study}", "surrogate", "models.h5"),
        folds=result("{study}", "surrogate", "cross_validation.h5"),
        curve=result("{study}", "surrogate", "learning_curve.json"),
        floor=result("{study}", "noise_floor.json"),
    output:
        predictions=result("{study}", "surrogate", "predictions.h5"),
        metrics=report(
            result("{study}", "surrogate", "metrics.json"),
            caption="../workflow/report/metrics.rst",
            category="{study}",
        ),
        record=result("{study}", "surrogate", "predictions.h5.prov.json"),
    log:
        log_file("{study}", "evaluate_surrogate"),
    benchmark:
        benchmark_file("{study}", "evaluate_surrogate")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("{study}.evaluate_surrogate"),
        runtime=run_time("{study}.evaluate_surrogate"),
    params:
        code=lambda wildcards: present_code("evaluate_surrogate", wildcards.study),
    message:
        "Judging the surrogate of {wildcards.study} on held-out data"
    shell:
        "python scripts/evaluate_surrogate.py --study {wildcards.study} --code {params.code} "
        "--device {resources.device} --config {input.config} --dataset {input.dataset} --models {input.models} "
        "--folds {input.folds} --curve {input.curve} --floor {input.floor} "
        "--predictions {output.predictions} --metrics {output.metrics} 2>&1 | tee {log}"
