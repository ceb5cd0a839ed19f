"""Which product does a complaint to the US Consumer Financial Protection Bureau concern?"""

from bench.data.tasks import Answers, Published, Repository, TaskInfo

COLUMNS = {
    "claude-3-5-haiku": "claude_3_5_haiku_prediction",
    "claude-3-5-sonnet": "claude_3_5_sonnet_prediction",
    "claude-3-7-sonnet": "claude-3-7-sonnet_prediction",
    "deepseek-chat": "deepseek-chat_prediction",
    "deepseek-reasoner": "deepseek-reasoner_prediction",
    "gemini-1.5-flash": "gemini-1.5-flash_prediction",
    "gemini-1.5-pro": "gemini-1.5-pro_prediction",
    "gemini-2.0-flash": "gemini-2.0-flash_prediction",
    "gemini-2.0-flash-lite": "gemini-2.0-flash-lite_prediction",
    "gpt-4.5-preview": "gpt-4.5-preview_prediction",
    "gpt-4o": "gpt_4o_prediction",
    "gpt-4o-mini": "gpt_4o_mini_prediction",
    "gpt-o1": "gpt-o1_prediction",
    "gpt-o3-mini": "gpt-o3-mini_prediction",
}

INFO = TaskInfo(
    name="cfpb",
    title="Consumer complaints by product",
    label_names=("credit_card", "credit_reporting", "debt_collection", "mortgages_and_loans", "retail_banking"),
    max_length=128,
    licence="data: CFPB complaints, US government, public; licence of this cut (Kaggle) not checked; answers: MIT; not "
    "redistributed here",
    citation="Consumer Financial Protection Bureau, consumer complaint database; answers: Roumeliotis et al. 2025, "
    "DeepSeek-LLM and GPT fall behind: Claude leads in zero-shot consumer complaints classification",
    sources=(
        Published(
            repository=Repository(
                repo="Applied-AI-Research-Lab/"
                "DeepSeek-LLM-and-GPT-Fall-Behind-Claude-Leads-in-Zero-Shot-Consumer-Complaints-Classification",
                commit="a03a4a65aa9767812a4c67b80cfc5c069a27ca61",
                files={
                    "all": ("Datasets/dataset.csv", "1b192f082c52539ae10edf50fcdc30e9827f90bb4a54a0c1382514a4b0023f9a"),
                },
            ),
            texts=("all",),
            text="narrative",
            gold="product",
            id="cfpb-{id}",
            key="id",
            silent=("auto_loan", "student_loans"),
            labellers={f"{name}/zero": Answers(column, ("all",)) for name, column in COLUMNS.items()},
        ),
    ),
    note="1000 complaints, 200 per product, in lower case and without stop words, as the LLMs saw them. Zero-shot "
    "by the vendors' APIs; four answers outside the five products (auto_loan, student_loans) are no answer.",
)
