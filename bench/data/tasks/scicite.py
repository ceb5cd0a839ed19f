"""Why does a scientific article cite another: as background, for its method, or to compare results?"""

from bench.data.tasks import Answers, Published, Repository, TaskInfo

FOLDER = "results/scicite/1 - Instruct Q8"
ZERO = {
    "gemma2-27b": "df8311397974f96b630176569f4f5aff3b9f6d023f352febc1398e9498a0c4bc",
    "gemma2-2b": "1f64fa5047801d61ecc11d8ab6d11902976a6e758d82d23a2e2e251fa6d06423",
    "gemma2-9b": "38cd65fbaeb65734bb7392ac8a7c9bc6bf5221380b42c4311ec229c04680bee8",
    "llama3": "2ddcc80218a2c14049df78b84815aef1af8412be0eee51af269e8e40455e84fd",
    "llama3.1": "d30f376668f2ee0d9033f903837f177611815b435976600b7a750f4094dce508",
    "llama3.2_1b": "46e2ec93b7338757ac893eadea875c6ff875376d7915e7b538c11125378c70a4",
    "llama3.2_3b": "0cad6b445866ebe9d1ceb2de16fadaeab3a42aa71ba3f70bfe1021e12e8f550b",
    "mistral_nemo": "48b55737e72093fb01850cf67334bb4a7d5f247e9fca8895dd2e6098e6aba302",
    "phi3.5_mini": "57351b5faf474f6129b507801c116b4069edef9510834450b51a472fa2ccbc53",
    "qwen2": "52e75622b4592a6d1ab48886dec14bc1ecf1462ff7580ce80b76ddaf4da30995",
    "qwen2.5_14b": "c38c4dacdb39cfd29f8b9ebae3d69fa00ab0ffecdfc922b69c75c1af1331f432",
}
FEW = {
    "gemma2-27b": "d73805546b51343d36ad9c50306b41757c9bbfec8f8fd0d43f51df8c641d2ee4",
    "gemma2-2b": "268046344809b811bf55bcd53c12add028f39eccd580cde433f3390afbbaa2c7",
    "gemma2-9b": "2d74016e8efccf288cad8bf7808e56d0386635fad731493e9ff42ef770efc0c4",
    "llama3": "8f5b47022c2af08c0cf43e3ae272a02553cbcf1c4c54c71be5dfc720524da4cc",
    "llama3.1": "ee213c19b1e24f8f620112b8f48c771007b4ec196b3137d11fd033f228997e28",
    "llama3.2_1b": "51e5ba153904ee9fd753538b906869e923aaab0873f036a94c317edfc156ab9a",
    "llama3.2_3b": "f701ba17bab7bd9ea31a36a276b27e324f09ff8785f911e671c9cf9d53088c40",
    "mistral_nemo": "3e0330568ec28bc910fb3bc4fe7fd2984684e7b6deb3f13ad2409102e022ed0d",
    "phi3.5_mini": "01258b1437cc1116becc9f3b9bcd6055e55005ead63a25c8a2978987880bea36",
    "qwen2": "4b02beb57c6e5cf80f690af1cd3c64e4742785d1f91bfea535d1e00efaaaa988",
    "qwen2.5_14b": "ce7e78f8df8913eefeb160ff64d43b4dd0893058127c28f36f417b5b641da065",
}
FILES = {
    f"{name}/{shots}": (
        f"{FOLDER}/{shots}-shot/outputs/{run}/{name.upper()}_scicite_{shots}-shot_{run.replace('/', '_')}_Q8.csv",
        sha256,
    )
    for shots, run, files in (("zero", "SP1/QT1/T0.0", ZERO), ("few", "SP1/QT1/EM1/T0.0", FEW))
    for name, sha256 in files.items()
}

INFO = TaskInfo(
    name="scicite",
    title="Citation intent in scientific articles",
    label_names=("background", "method", "result"),
    max_length=128,
    licence="data: none stated; answers: GPL-2.0; not redistributed here",
    citation="Cohan et al. 2019, Structural scaffolds for citation intent classification, NAACL; answers: Koloveas et "
    "al. 2025, Can LLMs predict citation intent? (CitationIntentOpenLLM)",
    sources=(
        Published(
            repository=Repository(
                repo="athenarc/CitationIntentOpenLLM",
                commit="00d72bb0a09517216a04c82d0fc6eed14e02d6d0",
                files={
                    "texts": (
                        "datasets/formatted/scicite/test.csv",
                        "45479bca682b814ca45bdebcb70cd4f26b1be21265f72569a662344b14d28ebc",
                    ),
                    **FILES,
                },
            ),
            texts=("texts",),
            text="citation_context",
            gold="citation_class_label",
            id="scicite-test-{row}",
            key="unique_id",
            gaps=True,
            classes={"background information": "background", "results comparison": "result"},
            labellers={name: Answers("predicted_classes", (name,)) for name in FILES},
        ),
    ),
    note="1861 contexts, the test split of SciCite. Instruct models in 8 bits, temperature 0, system prompt SP1, "
    "query QT1, examples EM1; a text that an output file leaves out has no answer. Phi-3-medium is not "
    "listed: its files have 105 rows.",
)
